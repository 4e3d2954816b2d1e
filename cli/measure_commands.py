"""Commands about what architectures cost in use: measure, pareto."""

from __future__ import annotations

from typing import Annotated

import typer

from netwright.cli.options import (
    DEFAULT_HOME,
    CampaignName,
    Data,
    Home,
    Json,
    SandboxFlags,
    TaskOrConfigured,
    TrainingFlags,
    contained,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (measure, pareto):
        app.command()(command)


@contained
def measure(
    sandbox: SandboxFlags,
    training: TrainingFlags,
    wanted: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|ID|BASELINE]...", help="Candidates. Default: the designs at the campaign's highest rung."
        ),
    ] = None,
    task: TaskOrConfigured = None,
    data: Data = None,
    campaign: Annotated[str | None, typer.Option(help="The campaign. Default: the latest.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure again what this machine has measured before.")
    ] = False,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Latency, memory, operations and state of architectures by length, and how they grow; advisory."""
    from netwright.campaign.measuring import measure_candidates
    from netwright.cli.live import confirm_progress
    from netwright.cli.measured import print_measured

    with confirm_progress(quiet=json, work="measuring") as progress:
        measured = measure_candidates(
            home,
            wanted or [],
            task_name=task,
            data=data,
            campaign_name=campaign,
            sandbox_flags=sandbox,
            training_flags=training,
            again=again,
            on_progress=progress,
        )
    print_measured(measured, json=json)
    return 0 if all(each.measures.inference or each.measures.states for each in measured) else 1


def pareto(
    name: CampaignName = None,
    rung: Annotated[int | None, typer.Option(min=0, help="Training budget. Default: the highest rung.")] = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Which designs no other one beats in loss and costs; differences within noise beat nobody."""
    from netwright.cli.measured import print_front
    from netwright.memory.store import Memory
    from netwright.report.front import front

    with Memory.open(home, create=False, read_only=True) as memory:
        found = front(memory, name, rung)
    print_front(found, json=json)
