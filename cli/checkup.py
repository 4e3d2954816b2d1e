"""What `doctor` prints: what is there, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from netwright.cli.output import out, print_json, table
from netwright.config import available_cores
from netwright.sandbox.isolation import Tier, probe

ENOUGH_DISK_BYTES = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `remedy` is empty where all is well, `vital` where nothing runs without it."""

    what: str
    found: str
    remedy: str = ""
    vital: bool = False


def print_checkup(home: Path, *, json: bool) -> int:
    """Look at everything; 1 when something vital is missing."""
    findings = [_python(), _torch(), *_packages(), *_isolation(), *_sqlite(), _cores(), _disk(home)]
    if json:
        print_json(findings)
    else:
        out.print(table(("", "", "what to do"), [_row(finding) for finding in findings]))
    return 1 if any(finding.vital and finding.remedy for finding in findings) else 0


def _row(finding: Finding) -> list[object]:
    style = "green" if not finding.remedy else "red" if finding.vital else "yellow"
    return [finding.what, Text(finding.found, style=style), Text(finding.remedy)]


def _python() -> Finding:
    return Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _torch() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("torch", f"cannot be imported: {error}", "pip install 'torch>=2.10,<2.14'", vital=True)
    return Finding("torch", f"{torch.__version__}, trains on cpu")


def _packages() -> list[Finding]:
    findings = []
    for name in ("langgraph", "openai", "transformers"):
        if importlib.util.find_spec(name) is None:
            findings.append(Finding(name, "missing", f"pip install {name}", vital=name == "langgraph"))
        else:
            findings.append(Finding(name, importlib.metadata.version(name)))
    return findings


def _isolation() -> list[Finding]:
    report = probe()
    remedy = ""
    if report.tier is Tier.T0:
        remedy = f"{'; '.join(report.missing)}: use Linux 5.13 or later with Landlock and seccomp"
    elif report.missing:
        remedy = f"weaker without {', '.join(report.missing)}"
    findings = [Finding("isolation", f"tier {report.tier.value}", remedy)]
    for layer in report.layers:
        name, works, detail = layer
        findings.append(Finding(f"  {name}", detail if works else f"no: {detail}", "" if works else "see above"))
    return findings


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
