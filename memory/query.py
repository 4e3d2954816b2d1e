"""Questions to the memory about candidates: which are best, and what is known of one.

Answers are frozen dataclasses and plain dicts that turn into JSON as they are; nothing is printed. Losses are
nats per token, lower is better.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from netwright.memory.rows import SHORT
from netwright.memory.store import Memory
from netwright.types import JsonDict, unit_of


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
