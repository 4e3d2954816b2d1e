"""Real campaigns in processes of their own, small enough for a test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

Netwright = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def campaign_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a campaign of trainings of a few steps; `top` are further top-level keys, `more` is TOML laid below."""

    def write(
        *,
        trials: int = 4,
        task: str = "recall",
        rung_tokens: Sequence[int] = (8192, 16384),
        baselines: Sequence[str] = (),
        top: str = "",
        more: str = "",
    ) -> Path:
        path = tmp_path / "small.toml"
        path.write_text(
            f'name = "small"\ntask = "{task}"\nrung_tokens = {list(rung_tokens)}\n'
            f"baselines = {json.dumps(list(baselines) or 'core')}\n{top}\n"
            f"[budget]\ntrials = {trials}\nminutes = 30\n{more}\n[audit]\nfinal_sheets = 1\n"
        )
        return path

    return write


@pytest.fixture
def netwright() -> Netwright:
    """Run the command line as a user would, in a process of its own."""

    def run(*arguments: object, timeout: float = 100.0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "netwright", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the command line and go on, stderr in `tmp_path/log`; what still runs at the end is killed."""
    children: list[subprocess.Popen[bytes]] = []

    def launch(*arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "netwright", *map(str, arguments)]
        with (tmp_path / "log").open("ab") as log:
            children.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log))
        return children[-1]

    yield launch
    for child in children:
        child.kill()
        child.wait()
