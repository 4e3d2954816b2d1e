"""Options that several commands share, so that they are named and explained once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path,
    typer.Option(
        "--home",
        envvar="NETWRIGHT_HOME",
        help="Where the memory and the artifacts live.",
        file_okay=False,
    ),
]
DEFAULT_HOME = Path(".netwright")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
TaskName = Annotated[str, typer.Option("--task", "-t", help="The task; see `netwright tasks`.")]
Data = Annotated[Path | None, typer.Option("--data", help="A text file or a folder of them, for tasks that read data.")]
Workers = Annotated[int | None, typer.Option("--workers", "-w", min=1, help="Training slots. Default: one per core.")]
NoSandbox = Annotated[
    bool,
    typer.Option(
        "--i-accept-no-sandbox",
        help="Run candidate code with resource limits only, where this machine cannot isolate it.",
    ),
]
CampaignName = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The campaign. Default: the latest.")]


def workers_or_cores(workers: int | None) -> int:
    """What `--workers` says, else the number of cores this process may use."""
    from netwright.config import available_cores

    return workers or available_cores()


def terminal_width() -> int | None:
    """The width for tables: the terminal's, or wide enough for every column when the output is piped."""
    return None if os.isatty(1) else 140
