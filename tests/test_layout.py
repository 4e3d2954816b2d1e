"""The folder layout, the packaging and the links say the same; the door is light; the README names every command."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from netwright.cli.app import app

ROOT = Path(__file__).parents[1]
OUTSIDE = {"benchmarks", "docs", "tests", "netwright", "build", "dist"}


def rooms() -> set[str]:
    return {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()} - OUTSIDE


def packaging() -> dict[str, object]:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert isinstance(setuptools, dict)
    return setuptools


def test_every_room_is_mapped_and_linked() -> None:
    mapped = packaging()["package-dir"]

    assert mapped == {f"netwright.{room}": room for room in rooms()}
    for room in rooms():
        assert (ROOT / "netwright" / room).resolve() == ROOT / room


def test_every_package_is_installed() -> None:
    inner = {
        f"netwright.{path.parent.relative_to(ROOT)}".replace("/", ".")
        for room in rooms()
        for path in (ROOT / room).rglob("__init__.py")
    }

    assert set(packaging()["packages"]) == inner | {"netwright"}  # type: ignore[call-overload]


def test_the_door_imports_nothing_heavy() -> None:
    code = (
        "import sys; from netwright.cli.app import run; run(['--help']); "
        "heavy = {'torch', 'numpy', 'langgraph', 'openai', 'transformers', 'sqlite_utils', 'rich', 'scipy'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"--help imports {done.stderr}"


@pytest.mark.parametrize("module", ["netwright.campaign.running", "netwright.cli.results", "netwright.memory.store"])
def test_the_trusted_side_does_not_import_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    table = "\n".join(re.findall(r"^\| `netwright.*$", readme, re.MULTILINE))

    group = typer.main.get_command(app)
    for name in group.commands:  # type: ignore[attr-defined]
        assert f"netwright {name}" in table, name
