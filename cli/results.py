"""What `run`, `status` and `confirm` print: standing, leaderboard, confirmation, and what to type next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.text import Text

from netwright.campaign.board import Board
from netwright.campaign.confirming import Confirmation, Confirmed, Duel
from netwright.campaign.opening import is_running
from netwright.cli.leaderboard import NOT_ISOLATED, marks, print_leaderboard
from netwright.cli.models import drawn_models, model_json, print_models
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
)
from netwright.evaluator.selection import Claims, claims_over
from netwright.llm_config import money, priced
from netwright.memory.designs import recognised
from netwright.memory.learning import prompt_reuse
from netwright.memory.overview import Stats, stats
from netwright.memory.query import TopRow, top
from netwright.memory.records import Campaign
from netwright.memory.store import Memory
from netwright.sandbox.isolation import Tier
from netwright.types import PROTOCOL_NAMES, Candidate, JsonDict, Outcome

SHOWN = 12
DUEL_COLUMNS = ("against~", "difference>", "interval>", "at>", "verdict", "~")


def print_results(home: Path, name: str, board: Board, *, json: bool) -> None:
    """The end of a campaign: leaderboard, the best design with its idea and file, what to type next."""
    with Memory.open(home) as memory:
        row = memory.campaign(name)
        rows = top(memory, campaign=name, limit=None)
        best = next((known for known in rows if not known.is_baseline), None)
        candidate = memory.candidate(best.candidate_id) if best else None
        path = memory.artifacts.put_candidate(name, candidate) if candidate else None
        sums = _priced(stats(memory, name), row)
        claims = claims_over(memory.verdicts(row.id))
        used = drawn_models(memory, row, claims)
    if json:
        print_json(
            {
                "campaign": name,
                "status": row.status,
                "seconds": round(row.elapsed_seconds, 1),
                "slot_use": round(board.slot_use(), 4),
                "isolation": board.tier,
                "layers": board.layers,
                "leaderboard": rows,
                "best": {"id": best.candidate_id, "path": str(path)} if best else None,
                "stats": sums,
                "models": [model_json(each, used.llm) for each in used.models],
                "claims": _claims(claims),
            }
        )
        return
    print_leaderboard(rows, SHOWN)
    _print_sums(row, sums, board)
    print_models(used)
    say(claims.sentence)
    if best and candidate:
        _print_best(rows, best, candidate, path)
        _print_next(home, name, best.short)
    elif any(known["made"] for known in sums.operators):
        out.print(f"no design could be trained: netwright memory failures {name}")
    else:
        out.print("no design was tried: the time went to the baselines; raise --minutes")


def _print_sums(row: Campaign, sums: Stats, board: Board) -> None:
    failed = sum(number for status, number in sums.trials.items() if status != "done")
    parts = [
        f"{sums.experiments} experiments in {duration(row.elapsed_seconds)}",
        f"{sums.trials.get('done', 0)} trainings done",
        f"{failed} failed",
        f"{sum(sums.rejected_by_gate.values())} proposals rejected by gates",
        f"isolation {board.tier}{f' ({NOT_ISOLATED})' if board.tier == Tier.T0 else ''}",
    ]
    if board.busy_seconds:
        parts.append(f"slots {board.slot_use():.0%} busy training and scoring")
    if sums.llm["calls"]:
        parts.append(_llm(sums))
    say("; ".join(parts))
    if known := recognised(sums.duplicates):
        say(f"known designs: {known}")
    if row.note:
        say(Text(row.note, style="yellow"))


def _priced(sums: Stats, row: Campaign) -> Stats:
    return replace(sums, llm=priced(sums.llm, row.config))


def _llm(sums: Stats) -> str:
    tokens = sums.llm["prompt_tokens"] + sums.llm["completion_tokens"]
    cost = f", cost {money(sums.llm['cost'])}" if "cost" in sums.llm else ""
    again = prompt_reuse(sums.llm["prefix_share"], sums.llm["cached_share"])
    return f"{sums.llm['calls']} LLM calls, {tokens:,} tokens{again}{cost}"


def _print_best(rows: list[TopRow], best: TopRow, candidate: Candidate, path: Path | None) -> None:
    out.print("")
    say(Text.assemble("best design  ", (best.title, "bold"), f"  {best.short}"))
    say(Text(candidate.hypothesis))
    say(Text(f"code: {path}"))
    rival = next((row for row in rows if row.is_baseline and row.rung == best.rung), None)
    if rival:
        say(Text(_standing(best, rival)))


def _standing(best: TopRow, rival: TopRow) -> str:
    """How the best design stands against the best baseline; the winner of many is flattered, so nothing is claimed."""
    delta = best.loss_nats - rival.loss_nats
    error = math.hypot(best.standard_error or 0.0, rival.standard_error or 0.0)
    if abs(delta) < 2 * error:
        where = "within two standard errors of"
    else:
        where = f"{abs(delta):.4f} {best.unit} {'below' if delta < 0 else 'above'}"
    return (
        f"its validation loss is {where} that of the best baseline here ({rival.title}); the best of many is partly "
        f"luck, so only `confirm` (fresh seeds, locked test split) can claim a win"
    )


def _print_next(home: Path, name: str, short: str) -> None:
    where = "" if str(home) == ".netwright" else f" --home {home}"
    steps = (
        (f"netwright confirm{where}", "is it really better? fresh seeds, locked test split, intervals"),
        (f"netwright measure{where}", "what the finalists cost in use; then netwright pareto"),
        (f"netwright report {name}{where}", "one HTML file with curves and lineage"),
        (f"netwright memory show {short}{where}", "everything about the best design"),
        (f"netwright memory tree {name}{where}", "what came of what"),
    )
    out.print("")
    out.print("next:")
    out.print(table(("", "~"), [(f"  {command}", what) for command, what in steps]))


def print_status(home: Path, name: str | None, *, json: bool) -> None:
    """Where a campaign stands, from the memory alone."""
    with Memory.open(home, create=False, read_only=True) as memory:
        row = memory.campaign(name)
        sums = _priced(stats(memory, row.name), row)
        rows = top(memory, campaign=row.name, limit=None)
        claims = claims_over(memory.verdicts(row.id))
        used = drawn_models(memory, row, claims)
    if row.status == "running" and not is_running(home, row.name):
        row = row.model_copy(update={"status": "interrupted"})  # it was killed before it could say so
    if json:
        print_json(
            {
                **row.model_dump(mode="json", exclude={"config", "task"}),
                "task": row.task.id,
                "stats": sums,
                "models": [model_json(each, used.llm) for each in used.models],
                "leaderboard": rows[:SHOWN],
                "claims": _claims(claims),
            }
        )
        return
    out.print(
        Text.assemble((row.name, "bold"), f"  {row.status}, task {row.task.id}, {duration(row.elapsed_seconds)} so far")
    )
    if row.task.protocol != "tokens":
        say(f"budgets: {PROTOCOL_NAMES[row.task.protocol]}")
    if row.note:
        say(Text(row.note, style="yellow"))
    rejected = ", ".join(f"{number} {gate}" for gate, number in sums.rejected_by_gate.items()) or "none"
    trials = ", ".join(f"{number} {status}" for status, number in sums.trials.items()) or "none"
    say(f"experiments {sums.experiments}; trials: {trials}; rejected by gates: {rejected}")
    if known := recognised(sums.duplicates):
        say(f"known designs: {known}")
    if sums.llm["calls"]:
        say(_llm(sums))
    print_models(used)
    say(claims.sentence)
    say(f"isolation: {_tiers(sums)}")
    print_leaderboard(rows, 5)
    if row.status in ("interrupted", "failed"):
        out.print(f"go on with: netwright resume {row.name}")


def _claims(claims: Claims) -> JsonDict:
    return {"better": sorted(claims.better), "better_alone": claims.alone, "compared": claims.compared}


def _tiers(sums: Stats) -> str:
    """`T3`, or each tier with how many trials ran there where there were several."""
    known = {tier: f"{tier}, {NOT_ISOLATED}" if tier == Tier.T0 else tier for tier in sums.tiers}
    if len(known) == 1:
        return next(iter(known.values()))
    return "; ".join(f"{known[tier]} ({number} trials)" for tier, number in sums.tiers.items()) or "no trial yet"


def print_confirmation(confirmation: Confirmation, *, json: bool) -> None:
    """All architectures on the locked split, every duel of each winner, and what may be claimed."""
    if json:
        print_json(_as_json(confirmation))
        return
    seeds = f"{len(confirmation.seeds)} fresh seeds each, rung {confirmation.rung}"
    title = f"locked test split of {confirmation.task_id}, {seeds}, mean loss and 95% interval"
    metrics = metric_names(row.metrics for row in confirmation.rows)
    columns = (
        "architecture~",
        "",
        f"loss ({confirmation.unit})>",
        "interval>",
        *metric_columns(metrics),
        "lr>",
        "params>",
        "id",
    )
    out.print(table(columns, [_confirmed_cells(row, metrics) for row in confirmation.rows], title=title))
    for row in confirmation.rows:
        for factor, reason in confirmation.learning_rates[row.candidate.id].left_out.items():
            say(Text(f"{row.candidate.title}: lr x {factor:g} was out, {reason}", style="dim"))
        for failure in row.failures:
            say(Text(f"{row.candidate.title}: {failure}", style="red"))
    if confirmation.at_the_edge:
        say(Text(confirmation.at_the_edge, style="yellow"))
    for winner in confirmation.winners:
        out.print("")
        duels = [duel for duel in confirmation.duels if duel.winner_id == winner.candidate.id]
        out.print(table(DUEL_COLUMNS, [_duel_cells(duel) for duel in duels]))
        say(Text(confirmation.sentence(winner), style="bold"))
    if confirmation.opened > len(confirmation.winners):
        say(f"the locked split has now been opened for {confirmation.opened} designs: the more, the less it proves")


def _confirmed_cells(row: Confirmed, metrics: Sequence[str]) -> list[object]:
    interval = row.interval
    return [
        Text(row.candidate.title, style="bold" if row.role == "candidate" else ""),
        marks(row.role, row.not_isolated),
        f"{row.mean:.4f}" if row.mean is not None else "failed",
        f"{interval.low:.4f} to {interval.high:.4f}" if interval else None,
        *metric_cells(row.metrics, metrics),
        f"x {row.rate:g}",
        count(row.parameters),
        row.candidate.id[:10],
    ]


def _duel_cells(duel: Duel) -> list[object]:
    comparison = duel.comparison
    interval = comparison.interval
    styles = {Outcome.BETTER: "green", Outcome.WORSE: "red"}
    return [
        duel.rival_title,
        f"{comparison.delta_nats:+.4f}" if comparison.delta_nats is not None else None,
        f"{interval.low:+.4f} to {interval.high:+.4f}" if interval else None,
        f"{interval.level:.1%}" if interval else None,
        Text(comparison.outcome.value, style=styles.get(comparison.outcome, "")),
        comparison.reason,
    ]


def _as_json(confirmation: Confirmation) -> JsonDict:
    return {
        "campaign": confirmation.campaign,
        "task": confirmation.task_id,
        "rung": confirmation.rung,
        "seeds": confirmation.seeds,
        "rows": [
            {"id": row.candidate.id, "title": row.candidate.title, **_fields(row, without="candidate")}
            for row in confirmation.rows
        ],
        "duels": [{**_fields(duel, without="comparison"), **_fields(duel.comparison)} for duel in confirmation.duels],
        "repetitions": confirmation.repetitions,
        "learning_rates": list(confirmation.learning_rates.values()),
        "earlier_looks": dict(confirmation.looks),
        "claims": {winner.candidate.id: confirmation.sentence(winner) for winner in confirmation.winners},
        "designs_that_opened_the_locked_split": confirmation.opened,
    }


def _fields(record: Any, without: str = "") -> JsonDict:
    return {name: getattr(record, name) for name in record.__dataclass_fields__ if name != without}
