"""What `check`, `evaluate`, `baselines` and `tasks` print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from netwright.campaign.single import Check, Evaluation, Row, mean_metrics, not_isolated
from netwright.cli.executed import executed_words
from netwright.cli.leaderboard import marks
from netwright.cli.output import count, metric_cells, metric_columns, metric_names, out, print_json, say, table
from netwright.evaluator.baselines import reference_for
from netwright.evaluator.contract import STATIC_GATES
from netwright.evaluator.protocol import at_a_bound
from netwright.evaluator.tasks import TASKS, load_task
from netwright.evaluator.tasks.registry import explanation, installed_tasks
from netwright.types import PROTOCOL_NAMES, Candidate, GateReport, Scope, Share, TaskSpec, Trial, TrialStatus


def print_check(found: Check, *, json: bool) -> None:
    """Every gate, what confined the candidate meanwhile, and how long it all took."""
    if json:
        print_json(
            {
                "id": found.candidate.id,
                "title": found.candidate.title,
                "accepted": not found.rejected,
                "gates": list(found.gates),
                "tier": found.tier,
                "layers": found.layers,
                **({"protocol": found.task.protocol, "shares": found.shares} if found.shares else {}),
                **({"problem": found.problem} if found.problem else {}),
                "seconds": round(found.seconds, 3),
            }
        )
        return
    print_gates(found.candidate, found.gates)
    for share in found.shares:
        say(share_words(found.task, share))
    if found.problem:
        say(Text(f"it cannot be calibrated for {PROTOCOL_NAMES[found.task.protocol]}: {found.problem}", style="red"))
    say(f"{found.seconds:.2f} s in all, start of the sandbox included")
    if any(report.gate not in STATIC_GATES for report in found.gates):
        say(f"isolation {found.tier}: {found.layers}")
    else:
        say("nothing of it ran: the source was enough to reject it")


def print_gates(candidate: Candidate, reports: Sequence[GateReport]) -> None:
    """Every gate with its verdict, its evidence and what to do."""
    rejected = any(report.rejects for report in reports)
    out.print(Text(candidate.title, style="bold"))
    out.print(table(("gate", "verdict", "seconds>", "evidence~"), [_gate_row(report) for report in reports]))
    for report in reports:
        if not report.passed:
            say(Text(f"{report.gate}: {report.message}", style=_style(report)))
    seconds = sum(report.seconds for report in reports)
    word = Text("rejected", style="red") if rejected else Text("accepted", style="green")
    out.print(Text.assemble(word, f" after {seconds:.2f} s of gates"))


def _gate_row(report: GateReport) -> list[object]:
    word = "pass" if report.passed else "warning" if report.severity == "warning" else "FAIL"
    return [
        report.gate,
        Text(word, style=_style(report)),
        f"{report.seconds:.2f}",
        ", ".join(f"{name} {_number(value)}" for name, value in report.evidence.items()),
    ]


def _style(report: GateReport) -> str:
    return "green" if report.passed else "yellow" if report.severity == "warning" else "red"


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def print_evaluation(evaluation: Evaluation, *, json: bool) -> None:
    """The gates where one failed, else the score beside the baselines."""
    row = evaluation.row
    if json:
        print_json(
            {
                "task": evaluation.task.id,
                "protocol": evaluation.task.protocol,
                "rejected": evaluation.rejected,
                "gates": list(evaluation.gates),
                **_as_json(row),
                "baselines": [_as_json(other) for other in evaluation.baselines],
            }
        )
        return
    if evaluation.rejected:
        print_gates(row.candidate, evaluation.gates)
        return
    for trial in row.trials:
        if trial.status is not TrialStatus.DONE:
            say(Text(f"seed {trial.seed}: {trial.status.value}: {trial.reason}", style="red"))
            if trial.last_output:
                say(Text(trial.last_output, style="dim"))
    for words in executed_words(trial.telemetry for trial in row.trials):
        say(Text(words))
    rows = sorted([row, *evaluation.baselines], key=_rank)
    out.print(_rows_table(rows, evaluation.task.unit, mark=row.candidate.id))
    _say_protocol(evaluation.task, rows)
    if not evaluation.baselines:
        out.print(f"no baselines known at this rung yet: netwright baselines --task {evaluation.task.name}")


def print_baselines(spec: TaskSpec, rows: Sequence[Row], *, json: bool) -> None:
    """The baselines, best first."""
    if json:
        print_json([_as_json(row) for row in rows])
        return
    out.print(_rows_table(rows, spec.unit))
    _say_protocol(spec, rows)


def _say_protocol(task: TaskSpec, rows: Sequence[Row]) -> None:
    """What budgets are equal in where it is not tokens, and whose are not quite."""
    if task.protocol == "tokens":
        return
    say(f"budgets: {PROTOCOL_NAMES[task.protocol]}; a rung pays what its tokens take of {_reference(task)}")
    for row in rows:
        if row.share and at_a_bound(row.share):
            say(Text(f"{row.candidate.title}: {share_words(task, row.share)}", style="yellow"))


def share_words(task: TaskSpec, share: Share) -> str:
    """What a candidate trains on and why, in one sentence."""
    costs = [f"{share.seconds:.2f} times the seconds"]
    costs += [f"{share.operations:.2f} times the operations"] if share.operations is not None else []
    bound = f", the {'most' if share.factor > 1 else 'least'} that is allowed" if at_a_bound(share) else ""
    return (
        f"{PROTOCOL_NAMES[task.protocol]} on {share.task_id}: it trains on {share.factor:.3g} times the tokens of a "
        f"rung{bound}; a token takes {' and '.join(costs)} that it takes of {_reference(task)}"
    )


def _reference(task: TaskSpec) -> str:
    return reference_for(task)[0].title


def _rank(row: Row) -> float:
    return -row.score.value if row.score else math.inf


def _rows_table(rows: Sequence[Row], unit: str, mark: str = "") -> Table:
    found = [mean_metrics(row.trials) for row in rows]
    metrics = metric_names(found)
    cells = []
    for row, means in zip(rows, found, strict=True):
        score = row.score
        cells.append(
            [
                Text(row.candidate.title, style="bold" if row.candidate.id == mark else ""),
                marks("", not_isolated(row.trials)),
                f"{-score.value:.4f}" if score else "failed",
                f"{score.standard_error:.4f}" if score else None,
                *metric_cells(means, metrics),
                score.seeds if score else None,
                count(next((trial.parameters for trial in row.trials if trial.parameters), None)),
                count(max((trial.tokens for trial in row.trials), default=None)),
                count(tokens_per_second(row.trials)),
                row.candidate.id[:10],
            ]
        )
    columns = (
        "architecture~",
        "",
        f"loss ({unit})>",
        "±>",
        *metric_columns(metrics),
        "seeds>",
        "params>",
        "tokens>",
        "tokens/s>",
    )
    return table((*columns, "id"), cells)


def tokens_per_second(trials: Sequence[Trial]) -> float | None:
    """Training speed over all trials that are done: tokens by wall seconds, scoring excluded."""
    done = [trial for trial in trials if trial.status is TrialStatus.DONE]
    seconds = sum(trial.usage.wall_seconds - trial.usage.scoring_seconds for trial in done)
    return sum(trial.tokens for trial in done) / seconds if seconds else None


def _as_json(row: Row) -> dict[str, Any]:
    return {
        "id": row.candidate.id,
        "title": row.candidate.title,
        "loss_nats": -row.score.value if row.score else None,
        "standard_error": row.score.standard_error if row.score else None,
        "rung": row.score.rung if row.score else None,
        "metrics": mean_metrics(row.trials),
        "not_isolated": not_isolated(row.trials),
        **({"share": row.share} if row.share else {}),
        "trials": [trial.model_dump(mode="json", exclude={"curve"}) for trial in row.trials],
    }


def print_tasks(*, json: bool) -> None:
    """The tasks with one line each."""
    known = TASKS | {name: f"of the package {point.value}" for name, point in installed_tasks().items()}
    if json:
        print_json([{"name": name, "summary": summary} for name, summary in known.items()])
        return
    out.print(table(("task", "what is learned~"), known.items()))
    out.print("sizes, splits and costs: netwright tasks show TASK")


def print_task(name: str, data: Path | None, protocol: str, *, json: bool) -> None:
    """Everything about one task."""
    task = load_task(name, data=data, protocol=protocol)
    if json:
        print_json({"id": task.spec.id, **task.spec.model_dump(mode="json"), "details": task.details})
        return
    say(Text(f"{task.spec.name}: {task.spec.summary}", style="bold"))
    if text := explanation(name):
        say(Text(f"\n{text}\n"))
    out.print(table(("", "~"), _facts(task.spec)))
    say(Text(task.details))


def _form(spec: TaskSpec) -> str:
    if spec.inputs == "tokens":
        read = "each position from earlier ones alone" if spec.causal else "a row may be read as a whole"
        if spec.answers == "code":
            read = "all of a row out of the last position's vector"
        return f"{spec.max_len} tokens, vocabulary {spec.vocab_size}; {read}"
    asked = "one number" if spec.answers == "number" else f"{spec.num_classes} classes"
    return f"numbers of shape {' x '.join(map(str, spec.input_shape))}, {asked}"


def _facts(spec: TaskSpec) -> list[tuple[str, str]]:
    recipe, unit = spec.recipe, "tokens" if spec.inputs == "tokens" else "rows"
    return [
        ("id", f"{spec.id} (results compare only between equal ids)"),
        ("candidate", f"scope {spec.scope.value}: dim {spec.dim}, {spec.heads} heads, {spec.layers} layers"),
        ("rows", _form(spec)),
        ("parameters", f"{'at most ' if spec.scope is Scope.MODEL else ''}{spec.parameters:,}, within 2%"),
        ("metric", spec.metric),
        ("held out", f"{spec.validation_rows} validation rows, {spec.test_rows} locked test rows"),
        (
            "recipe",
            f"{recipe.optimizer}, lr {recipe.lr:g}, batch {recipe.batch_size}, warm-up {recipe.warmup:.0%}, "
            f"{recipe.schedule}, clip {recipe.grad_clip:g}",
        ),
        ("rungs", ", ".join(f"{rung.level}: {count(rung.tokens)} {unit}" for rung in spec.rungs)),
        *(
            [("budgets", f"{PROTOCOL_NAMES[spec.protocol]}: a rung pays what its {unit} take of {_reference(spec)}")]
            if spec.protocol != "tokens"
            else []
        ),
    ]
