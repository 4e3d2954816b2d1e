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
    NoSandbox,
    TaskName,
    Workers,
    workers_or_cores,
)

CandidateFile = Annotated[Path, typer.Argument(metavar="FILE", help="A candidate file.")]
tasks_app = typer.Typer(help="The tasks: what is learned and measured.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (check, evaluate, baselines):
        app.command()(command)
    app.add_typer(tasks_app, name="tasks")


def check(
    file: CandidateFile,
    task: TaskName = "bytes",
    data: Data = None,
    no_sandbox: NoSandbox = False,
    json: Json = False,
) -> int:
    """Run all gates on a candidate file: does it build, is it causal, does it fit? Exit code 3 when rejected."""
    from netwright.campaign.single import check_file
    from netwright.cli.evaluations import print_gates

    candidate, reports = check_file(file, task, data, accept_no_sandbox=no_sandbox)
    print_gates(candidate, reports, json=json)
    return 3 if any(report.rejects for report in reports) else 0


def evaluate(
    file: CandidateFile,
    task: TaskName = "bytes",
    data: Data = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How many seeds to train with.")] = 2,
    rung: Annotated[int, typer.Option(min=0, help="Training budget.")] = 0,
    workers: Workers = None,
    no_sandbox: NoSandbox = False,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Gates, training and score of one candidate file, beside the baselines that are known."""
    from netwright.campaign.single import evaluate_file
    from netwright.cli.evaluations import print_evaluation
    from netwright.cli.live import confirm_progress

    with confirm_progress(quiet=json) as progress:
        evaluation = evaluate_file(
            home,
            file,
            task,
            data,
            seeds=seeds,
            rung=rung,
            workers=workers_or_cores(workers),
            accept_no_sandbox=no_sandbox,
            on_progress=progress,
        )
    print_evaluation(evaluation, json=json)
    return 3 if evaluation.rejected else 0 if evaluation.scored else 1


def baselines(
    task: TaskName = "bytes",
    data: Data = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How many seeds to train with.")] = 2,
    rung: Annotated[int, typer.Option(min=0, help="Training budget.")] = 0,
    workers: Workers = None,
    no_sandbox: NoSandbox = False,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Train the baselines (once: what is in the memory is not trained again) and list them."""
    from netwright.campaign.single import evaluate_baselines
    from netwright.cli.evaluations import print_baselines
    from netwright.cli.live import confirm_progress

    with confirm_progress(quiet=json) as progress:
        rows = evaluate_baselines(
            home,
            task,
            data,
            seeds=seeds,
            rung=rung,
            workers=workers_or_cores(workers),
            accept_no_sandbox=no_sandbox,
            on_progress=progress,
        )
    print_baselines(rows, json=json)
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
    json: Json = False,
) -> None:
    """Explain one task: sizes, splits, metric, rungs and what a trial costs."""
    from netwright.cli.evaluations import print_task

    print_task(name, data, json=json)
