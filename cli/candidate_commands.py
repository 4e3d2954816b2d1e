"""Commands about single architectures and tasks: check, evaluate, baselines, tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netwright.cli.options import (
    DEFAULT_HOME,
    Data,
    Home,
    Json,
    Protocol,
    RungLevel,
    SandboxFlags,
    Seeds,
    SeedsAtOnce,
    TaskName,
    TrainingFlags,
    Workers,
    contained,
    workers_or_cores,
)

CandidateFile = Annotated[Path, typer.Argument(metavar="FILE", help="A candidate file.")]
tasks_app = typer.Typer(help="The tasks: what is learned and measured.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (check, evaluate, baselines):
        app.command()(command)
    app.add_typer(tasks_app, name="tasks")


@contained
def check(
    sandbox: SandboxFlags,
    training: TrainingFlags,
    file: CandidateFile,
    task: TaskName = "bytes",
    data: Data = None,
    protocol: Protocol = None,
    json: Json = False,
) -> int:
    """Run all gates on a candidate file: does it build, is it causal, does it fit? Exit code 3 when rejected."""
    from netwright.campaign.single import check_file
    from netwright.cli.evaluations import print_check
    from netwright.config import SandboxConfig, TrainingConfig
    from netwright.config_file import laid_over, training_settings

    found = check_file(
        file,
        task,
        data,
        laid_over(SandboxConfig(), sandbox),
        protocol=protocol or "tokens",
        execution=training_settings(TrainingConfig(), training).execution(),
    )
    print_check(found, json=json)
    return 3 if found.rejected else 1 if found.problem else 0


@contained
def evaluate(
    sandbox: SandboxFlags,
    training: TrainingFlags,
    file: CandidateFile,
    task: TaskName = "bytes",
    data: Data = None,
    protocol: Protocol = None,
    seeds: Seeds = 2,
    rung: RungLevel = 0,
    workers: Workers = None,
    seeds_at_once: SeedsAtOnce = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Gates, training and score of one candidate file, beside the baselines that are known."""
    from netwright.campaign.single import evaluate_file
    from netwright.cli.evaluations import print_evaluation
    from netwright.cli.live import confirm_progress
    from netwright.config import SandboxConfig, TrainingConfig
    from netwright.config_file import laid_over, training_settings

    with confirm_progress(quiet=json) as progress:
        evaluation = evaluate_file(
            home,
            file,
            task,
            data,
            laid_over(SandboxConfig(), sandbox),
            protocol=protocol or "tokens",
            seeds=seeds,
            rung=rung,
            workers=workers_or_cores(workers),
            seeds_at_once=seeds_at_once or "auto",
            execution=training_settings(TrainingConfig(), training).execution(),
            on_progress=progress,
        )
    print_evaluation(evaluation, json=json)
    return 3 if evaluation.rejected else 0 if evaluation.scored else 1


@contained
def baselines(
    sandbox: SandboxFlags,
    training: TrainingFlags,
    task: TaskName = "bytes",
    data: Data = None,
    protocol: Protocol = None,
    seeds: Seeds = 2,
    rung: RungLevel = 0,
    workers: Workers = None,
    seeds_at_once: SeedsAtOnce = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Train only this one; may be repeated.")
    ] = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Train the baselines (once: what is in the memory is not trained again) and list them."""
    from netwright.campaign.single import evaluate_baselines
    from netwright.cli.evaluations import print_baselines
    from netwright.cli.live import confirm_progress
    from netwright.config import SandboxConfig, TrainingConfig
    from netwright.config_file import laid_over, training_settings

    with confirm_progress(quiet=json) as progress:
        spec, rows = evaluate_baselines(
            home,
            task,
            data,
            laid_over(SandboxConfig(), sandbox),
            protocol=protocol or "tokens",
            chosen=only or "all",
            seeds=seeds,
            rung=rung,
            workers=workers_or_cores(workers),
            seeds_at_once=seeds_at_once or "auto",
            execution=training_settings(TrainingConfig(), training).execution(),
            on_progress=progress,
        )
    print_baselines(spec, rows, json=json)
    return 0


@tasks_app.callback()
def tasks(context: typer.Context, json: Json = False) -> None:
    """List the tasks."""
    if context.invoked_subcommand is None:
        from netwright.cli.evaluations import print_tasks

        print_tasks(json=json)


@tasks_app.command("show")
def show_task(
    name: Annotated[str, typer.Argument(metavar="TASK", help="The task.")],
    data: Data = None,
    protocol: Protocol = None,
    json: Json = False,
) -> None:
    """Explain one task: sizes, splits, metric, rungs and what a trial costs."""
    from netwright.cli.evaluations import print_task

    print_task(name, data, protocol or "tokens", json=json)
