"""Questions to the memory: what is best, what is this, what differs, what came of what, what failed and why.

Answers are frozen dataclasses and plain dicts that turn into JSON as they are; nothing is printed. Losses are
nats per token, lower is better; `delta` is always second minus first, so negative is better.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netwright.memory.rows import SHORT
from netwright.memory.store import Memory
from netwright.printable import printable_json
from netwright.types import Candidate, JsonDict, Trial, TrialStatus, unit_of


@dataclass(frozen=True, kw_only=True)
class TopRow:
    """One candidate at the highest rung it reached; `rank` counts from 1 within its task.

    `tier` is the weakest isolation among its trainings there, None if it was not recorded.
    """

    rank: int
    task_id: str
    rung: int
    candidate_id: str
    short: str
    title: str
    origin: str
    is_baseline: bool
    loss_nats: float
    standard_error: float | None
    seeds: int
    metric: str
    metric_value: float
    parameters: int | None
    flops_per_token: float | None
    tokens_per_second: float | None
    peak_memory_bytes: int
    wall_seconds: float
    tier: str | None
    not_isolated: bool

    @property
    def unit(self) -> str:
        """What `loss_nats` is measured in: for a suite it is no nats."""
        return unit_of(self.metric)


def top(
    memory: Memory,
    *,
    limit: int | None = 20,
    task: str | None = None,
    campaign: str | None = None,
    baselines: bool = True,
) -> list[TopRow]:
    """The best candidates by validation loss, higher rungs first, at most `limit` per task.

    `task` is a task's id or name; `campaign` keeps what that campaign tried (and its baselines).

    Raises:
        NotFound: there is no such campaign.
    """
    conditions, parameters = ["1"], []
    if task is not None:
        conditions.append("(task_id = ? OR task_id IN (SELECT id FROM tasks WHERE name = ?))")
        parameters += [task, task]
    if campaign is not None:
        known = memory.campaign(campaign)
        conditions.append("task_id = ? AND candidate_id IN (SELECT candidate_id FROM nodes WHERE campaign_id = ?)")
        parameters += [known.task.id, str(known.id)]
    if not baselines:
        conditions.append("NOT is_baseline")
    found = memory.connection.rows(f"SELECT * FROM leaderboard WHERE {' AND '.join(conditions)}", parameters)
    ranks: Counter[str] = Counter()
    rows = []
    for row in found:
        ranks[row["task_id"]] += 1
        if limit is None or ranks[row["task_id"]] <= limit:
            truths = {name: bool(row[name]) for name in ("is_baseline", "not_isolated")}
            values = {**dict(row), **truths}
            rows.append(TopRow(rank=ranks[row["task_id"]], **values))
    return rows


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Everything the memory knows about one candidate; each list holds plain dicts, oldest first."""

    candidate: JsonDict
    nodes: list[JsonDict]
    gates: list[JsonDict]
    trials: list[JsonDict]
    scores: list[JsonDict]
    verdicts: list[JsonDict]
    attempts: list[JsonDict]
    children: list[JsonDict]


def show(memory: Memory, prefix: str) -> Shown:
    """Everything about the candidate whose id begins with `prefix`.

    Raises:
        NotFound: none or several fit.
    """
    candidate = memory.candidate(prefix)

    def rows(sql: str) -> list[JsonDict]:
        return [dict(row) for row in memory.connection.rows(sql, (candidate.id,))]

    return Shown(
        candidate={"id": candidate.id, "short": candidate.id[:SHORT], **candidate.model_dump(mode="json")},
        nodes=rows("SELECT * FROM lineage WHERE candidate_id = ?"),
        gates=rows(
            "SELECT task_id, gate, passed, severity, message, evidence, seconds FROM gates "
            "WHERE candidate_id = ? AND superseded = 0 ORDER BY id"
        ),
        trials=[trial.model_dump(mode="json") for trial in memory.trials(candidate_id=candidate.id, everything=True)],
        scores=rows(
            "SELECT p.name AS campaign, s.node, s.value, s.standard_error, s.rung, s.seeds, s.created_at "
            "FROM scores s JOIN campaigns p ON p.id = s.campaign_id WHERE s.candidate_id = ? ORDER BY s.id"
        ),
        verdicts=rows(
            "SELECT p.name AS campaign, v.node, v.outcome, v.rival_id, c.short AS rival_short, "
            "c.title AS rival_title, v.delta_nats, v.low_nats, v.high_nats, v.level, v.p_value, v.changed, v.words, "
            "v.lesson, v.author, v.created_at FROM verdicts v JOIN campaigns p ON p.id = v.campaign_id "
            "LEFT JOIN candidates c ON c.id = v.rival_id WHERE v.candidate_id = ? ORDER BY v.id"
        ),
        attempts=rows(
            "SELECT p.name AS campaign, a.node, a.stage, a.failure, a.created_at FROM attempts a "
            "JOIN campaigns p ON p.id = a.campaign_id WHERE a.candidate_id = ? ORDER BY a.id"
        ),
        children=rows(
            "SELECT campaign, node, short, title, operator, loss_nats, outcome, failure FROM lineage "
            "WHERE parent_id = ?"
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Delta:
    """One measurement of both candidates on the same task, split and rung; None where it is not known."""

    task_id: str
    split: str
    rung: int
    first_nats: float
    second_nats: float
    delta_nats: float
    standard_error: float | None
    seeds: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What changed from `first` to `second`: source (unified diff), recipe (key: before, after), numbers."""

    first: JsonDict
    second: JsonDict
    source: str
    recipe: dict[str, tuple[Any, Any]]
    measurements: list[Delta]
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
        parameters=(_last_parameters(runs_one), _last_parameters(runs_two)),
        tokens_per_second=(_pace(runs_one), _pace(runs_two)),
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


def _brief(candidate: Candidate) -> JsonDict:
    fields = {"id": candidate.id, "short": candidate.id[:SHORT]}
    return fields | candidate.model_dump(mode="json", exclude={"source", "genotype"})


def _deltas(first: Sequence[Trial], second: Sequence[Trial]) -> list[Delta]:
    ones, twos = _by_condition(first), _by_condition(second)
    deltas = []
    for condition in sorted(ones.keys() & twos.keys()):
        (one, one_error), (two, two_error) = _mean(ones[condition]), _mean(twos[condition])
        known = one_error is not None and two_error is not None
        deltas.append(
            Delta(
                task_id=condition[0],
                split=condition[1],
                rung=condition[2],
                first_nats=one,
                second_nats=two,
                delta_nats=two - one,
                standard_error=math.hypot(one_error or 0.0, two_error or 0.0) if known else None,
                seeds=(len(ones[condition]), len(twos[condition])),
            )
        )
    return deltas


def _by_condition(trials: Sequence[Trial]) -> dict[tuple[str, str, int], list[Trial]]:
    groups: dict[tuple[str, str, int], list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.status is TrialStatus.DONE:
            groups[trial.task_id, trial.split.value, trial.rung].append(trial)
    return groups


def _mean(trials: Sequence[Trial]) -> tuple[float, float | None]:
    """Mean loss and its standard error: over seeds, or the sampling error where there is one seed."""
    losses = [trial.loss_nats for trial in trials if trial.loss_nats is not None]
    if len(losses) > 1:
        return statistics.fmean(losses), statistics.stdev(losses) / math.sqrt(len(losses))
    return losses[0], trials[0].loss_standard_error


def _last_parameters(trials: Sequence[Trial]) -> int | None:
    known = [trial.parameters for trial in trials if trial.parameters is not None]
    return known[-1] if known else None


def _pace(trials: Sequence[Trial]) -> float | None:
    done = [trial for trial in trials if trial.status is TrialStatus.DONE]
    seconds = sum(trial.usage.wall_seconds for trial in done)
    return sum(trial.tokens for trial in done) / seconds if seconds else None
