"""Options that several commands share, so that they are named and explained once."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

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
_TASK = typer.Option("--task", "-t", help="The task; see `netwright tasks`.")
TaskName = Annotated[str, _TASK]
TaskOrConfigured = Annotated[str | None, _TASK]
Data = Annotated[Path | None, typer.Option("--data", help="A text file or a folder of them, for tasks that read data.")]
Workers = Annotated[int | None, typer.Option("--workers", "-w", min=1, help="Training slots. Default: one per core.")]
Seeds = Annotated[int, typer.Option(min=1, max=100, help="How many seeds to train with.")]
RungLevel = Annotated[int, typer.Option("--rung", min=0, help="Training budget.")]
SandboxFlags = dict[str, Any]
"""What was given of `[sandbox]` on the command line; None where a flag was not given."""
_SANDBOX_OPTIONS: dict[str, tuple[Any, str, str]] = {
    "kind": (
        Literal["process", "docker", "podman"] | None,
        "--sandbox",
        "What runs candidate code: a process of this machine, or one in a container. Default: process.",
    ),
    "tier": (
        Literal["T0", "T1", "T2", "T3"] | None,
        "--tier",
        "How confined it is; see `netwright doctor`. Default: the best that can be had, never below T2.",
    ),
    "image": (str | None, "--image", "The image of the container. Default: netwright."),
    "accept_no_sandbox": (
        bool | None,
        "--i-accept-no-sandbox",
        "Run candidate code with resource limits only, where this machine cannot isolate it, or with --tier T0.",
    ),
}
CampaignName = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The campaign. Default: the latest.")]


def contained(command: Callable[..., int]) -> Callable[..., int]:
    """Give `command` the options about what runs candidate code; it gets them together as `sandbox`, SandboxFlags."""
    signature = inspect.signature(command, eval_str=True)
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[kind, typer.Option(flag, help=text, show_default=False)],
        )
        for name, (kind, flag, text) in _SANDBOX_OPTIONS.items()
    ]

    @functools.wraps(command)
    def call(**given: Any) -> int:
        flags: SandboxFlags = {name: given.pop(name) for name in _SANDBOX_OPTIONS}
        return command(**given, sandbox=flags)

    own = [known for name, known in signature.parameters.items() if name != "sandbox"]
    call.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return call


def workers_or_cores(workers: int | None) -> int:
    """What `--workers` says, else the number of cores this process may use."""
    from netwright.config import available_cores

    return workers or available_cores()


def terminal_width() -> int | None:
    """The width for tables: the terminal's, or wide enough for every column when the output is piped."""
    return None if os.isatty(1) else 140
