"""What `memory diff` prints: what changed in the code, and whether the numbers say more than noise."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from netwright.cli.forms import Form, print_document
from netwright.cli.output import code, count, out, say, section
from netwright.evaluator.comparisons import Comparison, compare
from netwright.evaluator.statistics import NoiseFloor, noise_floor
from netwright.memory.differences import Condition, Delta, Difference, by_condition, diff
from netwright.memory.store import Memory
from netwright.types import JsonDict, Outcome, Split

STYLES = {Outcome.BETTER: "bold green", Outcome.WORSE: "bold red"}
WORDS = {Outcome.NO_DIFFERENCE: "none: within noise"}


def print_diff(home: Path, first: str, second: str, *, form: Form) -> None:
    """Code, recipe and numbers of two candidates."""
    with Memory.open(home, create=False, read_only=True) as memory:
        found = diff(memory, first, second)
        compared = _compared(memory, found)
    if form is not Form.TEXT:
        rows = [_row(delta, compared[_condition(delta)]) for delta in found.measurements]
        print_document({**asdict(found), "measurements": rows}, form, rows=rows)
        return
    for sign, style, brief in (("-", "red", found.first), ("+", "green", found.second)):
        say(Text.assemble((f"{sign} {brief['short']}", style), "  ", (brief["title"], "bold"), f"  {brief['origin']}"))
    changes = "\n".join(found.source.splitlines()[2:])
    out.print(code(f"\n{changes}", "diff") if changes else "\nthe sources are the same")
    if found.recipe:
        told = (f"{key} {_setting(before)} -> {_setting(after)}" for key, (before, after) in found.recipe.items())
        say(Text.assemble(("\nrecipe  ", "bold"), ", ".join(told)))
    for delta in found.measurements:
        _print_measurement(found, delta, compared[_condition(delta)])
    _print_rest(found)


def _setting(value: Any) -> str:
    return "the task's own" if value is None else str(value)


def _compared(memory: Memory, found: Difference) -> dict[Condition, Comparison]:
    """The second against the first under each condition, as a campaign compares a design with its rival."""
    ones, twos = (by_condition(memory.trials(candidate_id=brief["id"])) for brief in (found.first, found.second))
    conditions = [_condition(delta) for delta in found.measurements]
    return {each: compare(twos[each], ones[each], _noise(memory, each)) for each in conditions}


def _noise(memory: Memory, condition: Condition) -> NoiseFloor | None:
    """What baselines show of the noise between seeds; on the locked split none is borrowed."""
    if condition.split != Split.VALIDATION:
        return None
    baselines = memory.connection.rows("SELECT id FROM candidates WHERE origin = 'baseline'")
    known = [memory.trials(condition.task_id, row["id"], Split.VALIDATION, 0) for row in baselines]
    return noise_floor(trial for trials in known for trial in trials)


def _condition(delta: Delta) -> Condition:
    return Condition(delta.task_id, delta.split, delta.rung)


def _row(delta: Delta, comparison: Comparison) -> JsonDict:
    between = comparison.interval
    return {
        **asdict(delta),
        "low_nats": between and between.low,
        "high_nats": between and between.high,
        "outcome": comparison.outcome.value,
        "reason": comparison.reason,
    }


def _print_measurement(found: Difference, delta: Delta, comparison: Comparison) -> None:
    """The loss with its interval, then each metric."""
    between, outcome = comparison.interval, comparison.outcome
    told = Text(WORDS.get(outcome, outcome.value), style=STYLES.get(outcome, "dim"))
    loss = (f"{delta.first_nats:.4f}", f"{delta.second_nats:.4f}", f"{delta.delta_nats:+.4f}")
    rows: list[list[object]] = [
        ["loss", *loss, f"{between.low:+.4f} to {between.high:+.4f}" if between else "unknown", told]
    ]
    for name, (before, after) in delta.metrics.items():
        rows.append([name.replace("_", " "), f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}", "", ""])
    heads = (f"{brief['short']}>" for brief in (found.first, found.second))
    seeds = " and ".join(map(str, delta.seeds))
    title = f"rung {delta.rung}, {delta.split} split"
    section(title, ("", *heads, "difference>", "95% interval", ""), rows, lead=f"{delta.task_id}, seeds {seeds}")
    if comparison.reason:
        say(Text(comparison.reason, style="dim"))


def _print_rest(found: Difference) -> None:
    sizes = ((found.parameters, "parameters"), (found.tokens_per_second, "tokens/s"))
    told = [f"{name} {count(pair[0])} -> {count(pair[1])}" for pair, name in sizes if None not in pair]
    out.print()
    if not found.measurements:
        out.print("the two were trained under no common condition: no number compares")
    elif told:
        say("; ".join(told))
    for verdict in found.verdicts:
        ours = verdict["candidate_id"] == found.second["id"]
        held = "the second against the first" if ours else "the first against the second"
        outcome = (verdict["outcome"], STYLES.get(verdict["outcome"], ""))
        say(Text.assemble(f"{verdict['campaign']} held {held}: ", outcome, f". {verdict['words']}"))
