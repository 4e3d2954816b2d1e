"""What `memory show` prints: all about one candidate, what it came to first, its processes last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from netwright.cli.executed import executed_words
from netwright.cli.forms import Form, print_document
from netwright.cli.leaderboard import NOT_ISOLATED
from netwright.cli.output import (
    code,
    count,
    duration,
    loss,
    metric_cells,
    metric_columns,
    metric_names,
    out,
    say,
    section,
    sparkline,
)
from netwright.cli.processes import print_processes
from netwright.memory import query
from netwright.memory.store import Memory
from netwright.sandbox.isolation import Tier
from netwright.types import JsonDict

OUTCOME_STYLES = {"better": "bold green", "worse": "bold red"}


def print_experiment(home: Path, prefix: str, *, form: Form) -> None:
    """One candidate: idea, verdicts, trials, code, gates, lineage, processes."""
    with Memory.open(home, create=False, read_only=True) as memory:
        shown = query.show(memory, prefix)
    if form is not Form.TEXT:
        print_document(shown, form)
        return
    candidate = shown.candidate
    say(Text(candidate["title"], style="bold"))
    say(Text(f"{candidate['id']}  by {candidate['origin']}", style="dim"))
    for verdict in shown.verdicts:
        style = OUTCOME_STYLES.get(verdict["outcome"], "bold")
        say(Text.assemble((f"\n{verdict['outcome']}: ", style), _judgement(verdict)))
    _print_trials(shown.trials)
    out.print()
    out.print(code(candidate["source"], "python"))
    _print_gates(shown.gates)
    section("came from", ("campaign", "node>", "operator", "parent>", "id"), [_node_cells(n) for n in shown.nodes])
    section(
        "led to",
        ("node>", "operator", "design~", "loss>", "outcome"),
        [[c["node"], c["operator"], c["title"], loss(c["loss_nats"]), c["outcome"]] for c in shown.children],
    )
    print_processes(shown.trials)


def _print_trials(trials: Sequence[JsonDict]) -> None:
    metrics = metric_names(trial["metrics"] for trial in trials)
    section(
        "trials",
        (
            *("task", "rung>", "seed>", "split", "status", "tokens>", "loss>"),
            *metric_columns(metrics),
            *("training loss", "wall>", "memory>", "isolation"),
        ),
        [_trial_cells(trial, metrics) for trial in trials],
        once=("task", "split", "status", "isolation"),
        spare=("memory>", "tokens>", "wall>"),
    )
    for words in executed_words(trial["telemetry"] for trial in trials):
        say(Text(words, style="dim"))
    for trial in trials:
        if trial["reason"]:
            say(Text(f"seed {trial['seed']}: {trial['reason']}", style="red"))
            say(Text(trial["last_output"], style="dim"))


def _print_gates(gates: Sequence[JsonDict]) -> None:
    """Those that passed in a line, the others with what they say."""
    for task_id in dict.fromkeys(gate["task_id"] for gate in gates):
        here = [gate for gate in gates if gate["task_id"] == task_id]
        passed = [gate["gate"] for gate in here if gate["passed"]]
        section(
            "gates", ("gate", "verdict", "message~"), [_gate_cells(g) for g in here if not g["passed"]], lead=task_id
        )
        say(Text.assemble((f"{len(passed)} of {len(here)} passed: ", "green"), ", ".join(passed)))


def _gate_cells(gate: JsonDict) -> list[object]:
    word, style = ("warning", "yellow") if gate["severity"] == "warning" else ("FAIL", "red")
    return [gate["gate"], Text(word, style=style), gate["message"]]


def _trial_cells(trial: JsonDict, metrics: Sequence[str]) -> list[object]:
    usage = trial["usage"]
    return [
        trial["task_id"],
        trial["rung"],
        trial["seed"],
        trial["split"] if trial["rate"] == 1.0 else f"{trial['split']}, lr x {trial['rate']:g}",
        trial["status"],
        count(trial["tokens"]),
        loss(trial["loss_nats"]),
        *metric_cells(trial["metrics"], metrics),
        Text(sparkline([loss for _, loss in trial["curve"]]), style="cyan"),
        duration(usage["wall_seconds"]),
        f"{count(usage['peak_memory_bytes'])}B",
        NOT_ISOLATED if usage["tier"] == Tier.T0 else usage["tier"],
    ]


def _judgement(verdict: JsonDict) -> str:
    changed = f" Changed: {verdict['changed']}." if verdict["changed"] else ""
    return f"{verdict['words']}{changed}"


def _node_cells(node: JsonDict) -> list[object]:
    return [
        node["campaign"],
        node["node"],
        node["operator"],
        node["parent_node"],
        (node["parent_id"] or "-")[:10],
    ]
