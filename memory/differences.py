"""What changed from one candidate to another: code, recipe, numbers, and what campaigns said of the two.

Losses are nats per token, lower is better; `delta` is always second minus first, so negative is better.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from netwright.memory.rows import SHORT
from netwright.memory.store import Memory
from netwright.printable import printable_json
from netwright.types import Candidate, JsonDict, Trial, TrialStatus


class Condition(NamedTuple):
    """Under what two candidates can be compared."""

    task_id: str
    split: str
    rung: int


@dataclass(frozen=True, kw_only=True)
class Delta:
    """One measurement of both candidates on the same task, split and rung; None where it is not known.

    `metrics` has the mean of each metric that both have, of the first and of the second. Whether a difference is more
    than noise is the evaluator's to say.
    """

    task_id: str
    split: str
    rung: int
    first_nats: float
    second_nats: float
    delta_nats: float
    standard_error: float | None
    seeds: tuple[int, int]
    metrics: dict[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What changed from `first` to `second`: source (unified diff), recipe (key: before, after), numbers.

    `verdicts` are those of campaigns that held one of the two against the other.
    """

    first: JsonDict
    second: JsonDict
    source: str
    recipe: dict[str, tuple[Any, Any]]
    measurements: list[Delta]
    verdicts: list[JsonDict]
    parameters: tuple[int | None, int | None]
    tokens_per_second: tuple[float | None, float | None]


def diff(memory: Memory, first: str, second: str) -> Difference:
    """Compare two candidates given by id prefixes.

    Raises:
        NotFound: a prefix fits none or several.
    """
    one, two = memory.candidate(first), memory.candidate(second)
    runs_one, runs_two = memory.trials(candidate_id=one.id), memory.trials(candidate_id=two.id)
    before, after = recipe_of(one.source), recipe_of(two.source)
    changed = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    return Difference(
        first=_brief(one),
        second=_brief(two),
        source=source_diff(one, two),
        recipe={key: (before.get(key), after.get(key)) for key in changed},
        measurements=_deltas(runs_one, runs_two),
        verdicts=_verdicts(memory, one, two),
        parameters=(_last_parameters(runs_one), _last_parameters(runs_two)),
        tokens_per_second=(pace(runs_one), pace(runs_two)),
    )


def source_diff(first: Candidate, second: Candidate) -> str:
    """The unified diff of two sources, "" if they are equal."""
    before, after = (f"{each.id[:SHORT]} {' '.join(each.title.split())}" for each in (first, second))
    lines = difflib.unified_diff(first.source.splitlines(), second.source.splitlines(), before, after, lineterm="")
    return "\n".join(lines)


def recipe_of(source: str) -> JsonDict:
    """What the candidate's `RECIPE = {...}` says, {} where there is none that can be read."""
    try:
        body = ast.parse(source).body
        for statement in body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "RECIPE":
                value = printable_json(ast.literal_eval(statement.value))
                json.dumps(value)  # a set or a number of bytes is no JSON
                return value if isinstance(value, dict) else {}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return {}
    return {}


def by_condition(trials: Sequence[Trial]) -> dict[Condition, list[Trial]]:
    """The trainings that came to a loss, by what they can be compared under."""
    groups: dict[Condition, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.status is TrialStatus.DONE:
            groups[Condition(trial.task_id, trial.split.value, trial.rung)].append(trial)
    return groups


def _brief(candidate: Candidate) -> JsonDict:
    fields = {"id": candidate.id, "short": candidate.id[:SHORT]}
    return fields | candidate.model_dump(mode="json", exclude={"source", "genotype"})


def _deltas(first: Sequence[Trial], second: Sequence[Trial]) -> list[Delta]:
    ones, twos = by_condition(first), by_condition(second)
    deltas = []
    for condition in sorted(ones.keys() & twos.keys()):
        (one, one_error), (two, two_error) = mean_loss(ones[condition]), mean_loss(twos[condition])
        known = one_error is not None and two_error is not None
        before, after = _metrics(ones[condition]), _metrics(twos[condition])
        deltas.append(
            Delta(
                **condition._asdict(),
                first_nats=one,
                second_nats=two,
                delta_nats=two - one,
                standard_error=math.hypot(one_error or 0.0, two_error or 0.0) if known else None,
                seeds=(len(ones[condition]), len(twos[condition])),
                metrics={name: (before[name], after[name]) for name in before if name in after},
            )
        )
    return deltas


def _metrics(trials: Sequence[Trial]) -> dict[str, float]:
    """The mean of each metric that all of them have."""
    told = [trial.metrics for trial in trials]
    return {name: statistics.fmean(each[name] for each in told) for name in told[0] if all(name in t for t in told)}


def mean_loss(trials: Sequence[Trial]) -> tuple[float, float | None]:
    """Mean loss and its standard error: over seeds, or the sampling error where there is one seed."""
    losses = [trial.loss_nats for trial in trials if trial.loss_nats is not None]
    if len(losses) > 1:
        return statistics.fmean(losses), statistics.stdev(losses) / math.sqrt(len(losses))
    return losses[0], trials[0].loss_standard_error


def _verdicts(memory: Memory, one: Candidate, two: Candidate) -> list[JsonDict]:
    found = memory.connection.rows(
        "SELECT p.name AS campaign, v.node, v.candidate_id, v.rival_id, v.outcome, v.delta_nats, v.low_nats, "
        "v.high_nats, v.level, v.p_value, v.words, v.created_at FROM verdicts v "
        "JOIN campaigns p ON p.id = v.campaign_id "
        "WHERE (v.candidate_id = ?1 AND v.rival_id = ?2) OR (v.candidate_id = ?2 AND v.rival_id = ?1) ORDER BY v.id",
        (one.id, two.id),
    )
    return [dict(row) for row in found]


def _last_parameters(trials: Sequence[Trial]) -> int | None:
    known = [trial.parameters for trial in trials if trial.parameters is not None]
    return known[-1] if known else None


def pace(trials: Sequence[Trial]) -> float | None:
    """Tokens per second of the finished trials; None where there are none."""
    done = [trial for trial in trials if trial.status is TrialStatus.DONE]
    seconds = sum(trial.usage.wall_seconds for trial in done)
    return sum(trial.tokens for trial in done) / seconds if seconds else None
