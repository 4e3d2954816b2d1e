"""Options that several commands share, so that they are named and explained once."""

from __future__ import annotations

import functools
import inspect
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from netwright.errors import ConfigError

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
Protocol = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="tokens|flops|time",
        help="What budgets are equal in. Default: tokens.",
        show_default=False,
    ),
]
Trials = Annotated[int | None, typer.Option("--trials", min=1, help="End after so many trained candidates.")]
Minutes = Annotated[float | None, typer.Option("--minutes", help="End after so many minutes.")]
LlmCalls = Annotated[
    int | None, typer.Option("--llm-calls", min=1, help="Make at most so many calls to models. Default: no cap.")
]
LlmTokens = Annotated[
    int | None,
    typer.Option("--llm-tokens", min=1, help="Have models read and write at most so many tokens. Default: no cap."),
]
LlmCost = Annotated[
    float | None,
    typer.Option("--llm-cost", help="Spend at most so much on models, by the campaign file's prices. Default: no cap."),
]
Review = Annotated[
    bool | None,
    typer.Option(
        "--review/--no-review",
        help="Have each new design approved, edited or rejected at this terminal before it is trained.",
    ),
]
Workers = Annotated[int | None, typer.Option("--workers", "-w", min=1, help="Training slots. Default: one per core.")]
Seeds = Annotated[int, typer.Option(min=1, max=100, help="How many seeds to train with.")]
SeedsAtOnce = Annotated[
    Literal["auto", "on", "off"] | None,
    typer.Option(
        "--seeds-at-once",
        help="Train seeds of an architecture as one batch of networks. auto (default): not on a CPU, where only seeds "
        "trained alone repeat bit for bit.",
    ),
]
RungLevel = Annotated[int, typer.Option("--rung", min=0, help="Training budget.")]
SandboxFlags = dict[str, Any]
"""What was given of `[sandbox]` on the command line; None where a flag was not given."""
TrainingFlags = dict[str, Any]
"""The same of `[training]`."""
_SANDBOX_OPTIONS: dict[str, tuple[str, str, str]] = {
    "kind": (
        "process|docker|podman",
        "--sandbox",
        "What runs candidate code: a process of this machine, or one in a container. Default: process.",
    ),
    "tier": (
        "T0|T1|T2|T3",
        "--tier",
        "How confined it is; see `netwright doctor`. Default: the best that can be had, never below T2.",
    ),
    "image": ("NAME", "--image", "The image of the container. Default: netwright."),
    "accept_no_sandbox": (
        "",
        "--i-accept-no-sandbox",
        "Run candidate code with resource limits only, where this machine cannot isolate it, or with --tier T0.",
    ),
}
"""What each takes (nothing: it is there or not), its name, its help. What it may be is the configuration's to say."""
_TRAINING_OPTIONS: dict[str, tuple[str, str, str]] = {
    "device": (
        "auto|cpu|cuda|cuda:N",
        "--device",
        "What networks are trained on. Default: auto, a CUDA device where one works.",
    ),
    "precision": (
        "auto|float32|tf32|bf16",
        "--precision",
        "What they compute in. Default: auto, bf16 where a CUDA device has it.",
    ),
    "compile": ("auto|on|off", "--compile", "Whether torch.compile is tried. Default: auto, long trainings on CUDA."),
}
_FLAGS = {
    **{f"sandbox.{name}": (name, flag) for name, (_, flag, _) in _SANDBOX_OPTIONS.items()},
    **{f"training.{name}": (name, flag) for name, (_, flag, _) in _TRAINING_OPTIONS.items()},
    "budget.minutes": ("minutes", "--minutes"),
    "budget.llm_cost": ("llm_cost", "--llm-cost"),
    "name": ("name", "--name"),
    "review": ("review", "--review"),
    "protocol": ("protocol", "--protocol"),
    "llm.url": ("llm", "--llm"),
    "llm.api_key_env": ("key_env", "--key-env"),
    "llm.serve_options": ("serve_options", "--serve-options"),
}
"""By the key that the configuration complains about: the parameter and the flag that it was given by."""
KeyVariable = Annotated[
    str | None,
    typer.Option(
        "--key-env",
        metavar="VARIABLE",
        help="The environment variable that holds the endpoint's key. Default: NETWRIGHT_API_KEY.",
    ),
]
HeaderVariables = Annotated[
    list[str] | None,
    typer.Option(
        "--header", metavar="NAME=VARIABLE", help="A header for the endpoint, its value in a variable. Repeatable."
    ),
]
ServeOptions = Annotated[
    str | None,
    typer.Option(
        metavar="'--NAME VALUE ...'",
        help="For hf: models, more options of `transformers serve`, such as '--quantization bnb-4bit'.",
    ),
]
CampaignName = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The campaign. Default: the latest.")]


def contained(command: Callable[..., int]) -> Callable[..., int]:
    """Give `command` the options about what runs candidate code, and on what it trains.

    It gets them together as `sandbox` and `training`, SandboxFlags and TrainingFlags.
    """
    signature = inspect.signature(command, eval_str=True)
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None if takes else bool | None,
                typer.Option(flag, metavar=takes or None, help=text, show_default=False),
            ],
        )
        for name, (takes, flag, text) in (_TRAINING_OPTIONS | _SANDBOX_OPTIONS).items()
    ]

    @functools.wraps(command)
    def call(**given: Any) -> int:
        everything = dict(given)
        sandbox: SandboxFlags = {name: given.pop(name) for name in _SANDBOX_OPTIONS}
        training: TrainingFlags = {name: given.pop(name) for name in _TRAINING_OPTIONS}
        try:
            return command(**given, sandbox=sandbox, training=training)
        except ConfigError as error:
            key, _, reason = str(error).partition(": ")
            name, flag = _FLAGS.get(key, ("", ""))
            if everything.get(name) is None:
                raise
            raise ConfigError(f"{flag}: {reason}") from None

    own = [known for name, known in signature.parameters.items() if name not in ("sandbox", "training")]
    call.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return call


def named_headers(given: list[str] | None) -> dict[str, str] | None:
    """What `--header` says, by the headers' names; None where it was not given."""
    pairs = [pair.partition("=") for pair in given or []]
    return {name.strip(): variable.strip() for name, _, variable in pairs} or None


def words_of(options: str | None) -> tuple[str, ...] | None:
    """What one flag says that holds the flags of another program; None where it was not given.

    Raises: ConfigError where a quotation mark is never closed.
    """
    try:
        return tuple(shlex.split(options)) if options is not None else None
    except ValueError as error:
        raise ConfigError(f"--serve-options {options!r} cannot be split into words: {error}") from None


def workers_or_cores(workers: int | None) -> int:
    """What `--workers` says, else the number of cores this process may use."""
    from netwright.config import available_cores

    return workers or available_cores()


def terminal_width() -> int | None:
    """The width for tables: the terminal's, or that of COLUMNS, or wide enough for every column when piped."""
    wanted = os.environ.get("COLUMNS", "")
    return None if os.isatty(1) else int(wanted) if wanted.isascii() and wanted.isdigit() and int(wanted) else 140
