"""What `doctor` prints: what is there, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sqlite3
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from netwright.agents.local_model import INSTALL, missing_for_serving
from netwright.cli.output import findings_table, out, print_json
from netwright.config import DEFAULT_IMAGE, available_cores
from netwright.evaluator.devices import choose, find
from netwright.sandbox.container import Container, explain_failure
from netwright.sandbox.isolation import RECIPES, IsolationReport, Tier, probe
from netwright.types import Finding

ENGINE_SECONDS = 10.0
ENOUGH_DISK_BYTES = 1 << 30


def print_checkup(home: Path, *, json: bool) -> int:
    """Look at everything; 1 when something vital is missing."""
    findings = [
        _python(),
        _torch(),
        *_devices(),
        *_packages(),
        _serving(),
        *_isolation(),
        *_engines(),
        *_sqlite(),
        _cores(),
        _disk(home),
    ]
    if json:
        print_json(findings)
    else:
        out.print(findings_table(findings))
    return 1 if any(finding.vital and finding.remedy for finding in findings) else 0


def _python() -> Finding:
    return Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _torch() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("torch", f"cannot be imported: {error}", "pip install 'torch>=2.10,<2.14'", vital=True)
    return Finding("torch", torch.__version__)


def _devices() -> list[Finding]:
    """What `--device auto` comes to, and what else there is."""
    found = find()
    chosen = choose("auto", found=found)
    said = f"{chosen.device}, in {chosen.precision}" + (f" ({found.problem})" if found.problem else "")
    return [
        Finding("trains on", said),
        *(
            Finding(f"  cuda:{index}", f"{gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB")
            for index, gpu in enumerate(found.gpus)
        ),
    ]


def _packages() -> list[Finding]:
    findings = []
    for name in ("langgraph", "openai", "transformers"):
        if importlib.util.find_spec(name) is None:
            findings.append(Finding(name, "missing", f"pip install {name}", vital=name == "langgraph"))
        else:
            findings.append(Finding(name, importlib.metadata.version(name)))
    return findings


def _serving() -> Finding:
    """Whether `--llm hf:MODEL` would find what serves the model."""
    missing = missing_for_serving()
    if missing:
        return Finding("  transformers serve", f"lacks {', '.join(missing)}", f"only for --llm hf:MODEL: {INSTALL}")
    return Finding("  transformers serve", "there, for --llm hf:MODEL")


def _isolation() -> list[Finding]:
    report = probe()
    weak = report.tier < Tier.T2
    missing = "; ".join(report.missing)
    remedy = f"{missing}; without that, less has to be accepted with --tier {report.tier}" if weak else ""
    found = [Finding("isolation", f"tier {report.tier.value}", remedy, vital=weak)]
    found += [_tier(tier, report) for tier in sorted(Tier, reverse=True)]
    for name, works, detail in report.layers:
        found.append(Finding(f"  {name}", detail if works else f"no: {detail}", "" if works else _needs(name, report)))
    return found


def _needs(layer: str, report: IsolationReport) -> str:
    """What a layer that cannot be had needs, without why it cannot: that stands beside it."""
    told = next((each for each in report.missing if each.startswith(f"{layer}: ")), "")
    _, it_needs, remedy = told.partition("; it needs ")
    return f"needs {remedy}" if it_needs else ""


def _tier(tier: Tier, report: IsolationReport) -> Finding:
    """What a tier consists of, and which of that this machine does not enforce."""
    if tier is Tier.T0:
        return Finding("  T0", "resource limits only, not isolated; never used without --i-accept-no-sandbox")
    needed = [name.replace("_", " ") for name, used in asdict(RECIPES[tier]).items() if used is True]
    if tier <= report.tier:
        return Finding(f"  {tier}", f"yes: {', '.join(needed)}")
    enforced = {name for name, works, _ in report.layers if works}
    lacking = [name for name in needed if name not in enforced]
    return Finding(f"  {tier}", f"no: {', '.join(needed)}", f"needs {', '.join(lacking)}, see below")


def _engines() -> list[Finding]:
    return [_engine(name) for name in ("docker", "podman")]


def _engine(name: Literal["docker", "podman"]) -> Finding:
    """Whether `--sandbox NAME` would find an engine and the image of that name."""
    if shutil.which(name) is None:
        return Finding(name, "not there", f"only for --sandbox {name}: install it")
    try:
        asked = subprocess.run(
            [name, "image", "inspect", "--format", "{{.Id}}", DEFAULT_IMAGE],
            capture_output=True,
            text=True,
            timeout=ENGINE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, "does not answer", f"only for --sandbox {name}: {error}")
    if asked.returncode == 0:
        return Finding(name, f"there, with the image {DEFAULT_IMAGE!r} {asked.stdout.strip()[:19]}")
    why = explain_failure(Container(name, DEFAULT_IMAGE), asked.returncode, asked.stderr, "list its images")
    return Finding(name, "there, but not ready", f"only for --sandbox {name}: {why}")


def _sqlite() -> list[Finding]:
    with sqlite3.connect(":memory:") as connection:
        options = {row[0] for row in connection.execute("PRAGMA compile_options")}
    full_text = "ENABLE_FTS5" in options
    return [
        Finding("SQLite", sqlite3.sqlite_version),
        Finding(
            "  full-text search",
            "FTS5" if full_text else "missing",
            "" if full_text else "use a Python whose SQLite has FTS5",
            vital=True,
        ),
    ]


def _cores() -> Finding:
    return Finding("cores", f"{available_cores()} (one training slot each)")


def _disk(home: Path) -> Finding:
    place = next(path for path in [home.absolute(), *home.absolute().parents] if path.exists())
    free = shutil.disk_usage(place).free
    remedy = "" if free >= ENOUGH_DISK_BYTES else f"free some space, or choose another --home than {home}"
    return Finding("disk", f"{free / 1e9:.1f} GB free for {home}", remedy, vital=True)
