"""What the `memory` commands print."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.syntax import Syntax
from rich.text import Text
from rich.tree import Tree

from netwright.cli.executed import executed_words
from netwright.cli.leaderboard import NOT_ISOLATED, print_leaderboard
from netwright.cli.output import (
    count,
    duration,
    metric_cells,
    metric_columns,
    metric_names,
    out,
    print_json,
    say,
    table,
    told_once,
)
from netwright.cli.processes import print_processes
from netwright.evaluator.selection import claims_over
from netwright.memory import overview, query, search
from netwright.memory.store import Memory
from netwright.printable import printable
from netwright.sandbox.isolation import Tier
from netwright.types import JsonDict

SPARKS = "▁▂▃▄▅▆▇█"


def _reading(home: Path) -> Memory:
    return Memory.open(home, create=False, read_only=True)


def _coloured(text: str, language: str) -> Syntax:
    return Syntax(printable(text), language, theme="ansi_dark", background_color="default", word_wrap=True)


def print_top(home: Path, *, limit: int, campaign: str | None, task: str | None, json: bool) -> None:
    """The leaderboard, one table per task and rung."""
    with _reading(home) as memory:
        rows = query.top(memory, limit=limit, campaign=campaign, task=task)
    if json:
        print_json(rows)
        return
    if not rows:
        out.print("nothing trained yet: netwright run")
    for task_id in dict.fromkeys(row.task_id for row in rows):
        out.print(Text(task_id, style="bold"))
        print_leaderboard([row for row in rows if row.task_id == task_id], limit)


def print_experiment(home: Path, prefix: str, *, json: bool) -> None:
    """One candidate: idea, code, gates, trials, verdicts, lineage."""
    with _reading(home) as memory:
        shown = query.show(memory, prefix)
    if json:
        print_json(shown)
        return
    candidate = shown.candidate
    say(Text.assemble((candidate["title"], "bold"), f"  {candidate['id']}"))
    say(Text(f"by {candidate['origin']}"))
    out.print(_coloured(candidate["source"], "python"))
    _section(
        "gates",
        ("task", "gate", "verdict", "message~"),
        [_gate_cells(gate) for gate in shown.gates],
        once=("task",),
    )
    metrics = metric_names(trial["metrics"] for trial in shown.trials)
    _section(
        "trials",
        (
            *("task", "rung>", "seed>", "split", "status", "tokens>", "loss>"),
            *metric_columns(metrics),
            *("training loss", "wall>", "memory>", "isolation"),
        ),
        [_trial_cells(trial, metrics) for trial in shown.trials],
        once=("task", "split", "status", "isolation"),
    )
    for words in executed_words(trial["telemetry"] for trial in shown.trials):
        say(Text(words))
    print_processes(shown.trials)
    for trial in shown.trials:
        if trial["reason"]:
            say(Text(f"seed {trial['seed']}: {trial['reason']}", style="red"))
            say(Text(trial["last_output"], style="dim"))
    for verdict in shown.verdicts:
        say(Text.assemble((f"{verdict['outcome']}: ", "bold"), _judgement(verdict)))
    _section("came from", ("campaign", "node>", "operator", "parent", "id"), [_node_cells(n) for n in shown.nodes])
    _section(
        "led to",
        ("node>", "operator", "design~", "loss>", "outcome"),
        [[c["node"], c["operator"], c["title"], _loss(c["loss_nats"]), c["outcome"]] for c in shown.children],
    )


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, once: Sequence[str] = ()) -> None:
    """A table under its title; what the columns `once` say in all rows stands beside the title instead."""
    if rows:
        columns, rows, same = told_once(once, columns, rows)
        out.print(Text.assemble((f"\n{title}", "bold"), f"  {same}" if same else ""))
        out.print(table(columns, rows))


def _gate_cells(gate: JsonDict) -> list[object]:
    word = "pass" if gate["passed"] else "warning" if gate["severity"] == "warning" else "FAIL"
    style = {"pass": "green", "warning": "yellow"}.get(word, "red")
    return [gate["task_id"], gate["gate"], Text(word, style=style), "" if gate["passed"] else gate["message"]]


def _trial_cells(trial: JsonDict, metrics: Sequence[str]) -> list[object]:
    usage = trial["usage"]
    return [
        trial["task_id"],
        trial["rung"],
        trial["seed"],
        trial["split"] if trial["rate"] == 1.0 else f"{trial['split']}, lr x {trial['rate']:g}",
        trial["status"],
        count(trial["tokens"]),
        _loss(trial["loss_nats"]),
        *metric_cells(trial["metrics"], metrics),
        sparkline([loss for _, loss in trial["curve"]]),
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


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def sparkline(values: list[float], width: int = 24) -> str:
    """A curve in one line of text, at most `width` characters."""
    if not values:
        return ""
    step = max(1, len(values) // width)
    picked = values[::step][:width]
    low, high = min(picked), max(picked)
    scale = (len(SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(SPARKS[round((value - low) * scale)] for value in picked)


def print_hits(home: Path, text: str, *, limit: int, json: bool) -> None:
    """Search results with the reason for each."""
    with _reading(home) as memory:
        hits = search.search(memory, text, limit=limit)
    if json:
        print_json(hits)
        return
    if not hits:
        out.print(Text(f"nothing speaks of {text!r}"))
    for hit in hits:
        say(Text.assemble((hit.short or "-", "cyan"), "  ", (hit.title, "bold")))
        say(Text(f"    {' '.join(hit.snippet.split())}"))
        say(Text(f"    {hit.why}", style="dim"))


def print_diff(home: Path, first: str, second: str, *, json: bool) -> None:
    """Code, recipe and numbers of two candidates."""
    with _reading(home) as memory:
        found = query.diff(memory, first, second)
    if json:
        print_json(found)
        return
    if found.source:
        out.print(_coloured(found.source, "diff"))
    else:
        out.print("the sources are the same")
    for key, (before, after) in found.recipe.items():
        out.print(Text(f"RECIPE {key}: {before} -> {after}"))
    cells = [
        [
            delta.task_id,
            delta.rung,
            delta.split,
            _loss(delta.first_nats),
            _loss(delta.second_nats),
            f"{delta.delta_nats:+.4f}",
            f"{delta.standard_error:.4f}" if delta.standard_error is not None else None,
        ]
        for delta in found.measurements
    ]
    columns = ("task", "rung>", "split", f"{first[:10]}>", f"{second[:10]}>", "difference>", "±>")
    _section("losses", columns, cells, once=("task",))


def print_tree(home: Path, campaign: str | None, *, json: bool) -> None:
    """The lineage as an indented tree."""
    with _reading(home) as memory:
        known = memory.campaign(campaign)
        rows = overview.tree(memory, campaign)
        claims = claims_over(memory.verdicts(known.id))
    if json:
        print_json([{**dataclasses.asdict(row), "better_among_all": row.node in claims.better} for row in rows])
        return
    root = Tree(Text(known.name, style="bold"))
    branches: dict[int, Tree] = {}
    for row in rows:
        parent = branches[row.parent] if row.parent is not None else root
        branches[row.node] = parent.add(_branch(row, row.node in claims.better))
    out.print(root)
    if claims.alone:
        say(claims.sentence)


def _branch(row: overview.TreeRow, holds: bool) -> Text:
    """A node; "better" in full where it `holds` among all comparisons of the campaign."""
    if row.failure:
        return Text(f"{row.operator}: {row.title or 'no design'} failed, {row.stage}", style="red")
    label = Text(f"{row.operator}: {row.title} ")
    label.append(f"{_loss(row.loss_nats)} ", style="bold")
    label.append(f"rung {row.rung} {row.short}", style="dim")
    if row.outcome == "better" and not holds:
        label.append(" better alone, not among all", style="dim")
    elif row.outcome:
        label.append(f" {row.outcome}", style={"better": "green", "worse": "red"}.get(row.outcome, "dim"))
    return label


def print_failures(home: Path, campaign: str | None, *, limit: int, json: bool) -> None:
    """What failed, by stage."""
    with _reading(home) as memory:
        groups = overview.failures(memory, campaign)
    if json:
        print_json(groups)
        return
    if not groups:
        out.print("nothing failed")
    for group in groups:
        out.print(Text(f"{group.stage} ({group.count})", style="bold"))
        for failure in group.failures[:limit]:
            who = f"{failure.short or '-':10}  {failure.title or ''}"
            say(Text(f"  {who}: {failure.failure}"))
            if failure.last_output:
                say(Text(f"    {failure.last_output[-400:]}", style="dim"))


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def print_sql(home: Path, text: str, *, json: bool) -> None:
    """The answer to a query."""
    with _reading(home) as memory:
        answer = overview.sql(memory, text)
    if json:
        print_json([dict(zip(answer.columns, map(_finite, row), strict=True)) for row in answer.rows])
        return
    rows: list[list[Any]] = [list(row) for row in answer.rows]
    out.print(table([f"{column}~" for column in answer.columns], rows))
    if answer.truncated:
        out.print(f"only the first {len(rows)} rows are shown; add a LIMIT or a WHERE")
