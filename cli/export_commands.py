"""The command about leaving: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from netwright.cli.options import DEFAULT_HOME, Data, Home, Json, SandboxFlags, TrainingFlags, contained


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(export)


@contained
def export(
    sandbox: SandboxFlags,
    training: TrainingFlags,
    what: Annotated[str, typer.Argument(metavar="ID|FILE|BASELINE", help="The design.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write; new or empty.")],
    to: Annotated[
        Literal["torch", "hf", "onnx"],
        typer.Option("--format", "-f", help="Plain torch, a Hugging Face folder, or ONNX."),
    ] = "torch",
    task: Annotated[
        str | None, typer.Option("--task", "-t", help="The task. Default: that of its best training, else bytes.")
    ] = None,
    data: Data = None,
    rung: Annotated[int | None, typer.Option(min=0, help="The rung of the training. Default: the highest.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The seed of the training. Default: the best.")] = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Write a trained design as files that others load, tried out in a process without netwright."""
    from netwright.campaign.exporting import Wanted, export_design
    from netwright.cli.exported import print_exported
    from netwright.cli.live import confirm_progress
    from netwright.config import SandboxConfig
    from netwright.config_file import laid_over

    with confirm_progress(quiet=json, work="exporting") as progress:
        exported = export_design(
            home,
            Wanted(what=what, task=task, data=data, rung=rung, seed=seed),
            kind=to,
            folder=out,
            sandbox_config=laid_over(SandboxConfig(), sandbox),
            training_flags=training,
            on_progress=progress,
        )
    print_exported(exported, json=json)
    return 3 if exported.rejected else 0
