"""What trainings came to, summed up in the database: for pages over campaigns of thousands of designs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from netwright.memory.rows import RANKED, candidate_of
from netwright.memory.store import Memory
from netwright.types import Candidate

_DONE = f"t.task_id = ?1 AND t.split = 'validation' AND t.status = 'done' AND {RANKED}"


@dataclass(frozen=True, kw_only=True)
class FirstTraining:
    """What a node's design came to at the lowest rung: mean loss over seeds, and the standard error of its score."""

    node: int
    operator: str
    candidate_id: str
    title: str
    is_baseline: bool
    loss_nats: float
    standard_error: float | None


def mean_losses(memory: Memory, task_id: str) -> dict[str, dict[int, float]]:
    """Mean validation losses of the finished trainings of a task, by candidate id, then rung; nats per token."""
    losses: dict[str, dict[int, float]] = defaultdict(dict)
    sql = f"SELECT t.candidate_id, t.rung, avg(t.loss_nats) FROM trials t WHERE {_DONE} GROUP BY 1, 2"
    for candidate_id, rung, loss in memory.connection.rows(sql, (task_id,)):
        losses[candidate_id][rung] = loss
    return losses


def first_trainings(memory: Memory, campaign_id: int, task_id: str) -> list[FirstTraining]:
    """The trained designs and baselines of a campaign in the order in which they were remembered; failures apart."""
    rows = memory.connection.rows(
        "WITH firsts AS (SELECT node, min(id) AS first FROM journal WHERE campaign_id = ?2 GROUP BY node), "
        "errors AS (SELECT node, max(id), standard_error FROM scores WHERE campaign_id = ?2 AND rung = 0 "
        "GROUP BY node), "
        f"runs AS (SELECT t.candidate_id, avg(t.loss_nats) AS loss FROM trials t WHERE {_DONE} AND t.rung = 0 "
        "GROUP BY 1) "
        "SELECT n.node, n.operator, n.candidate_id, c.title, c.origin = 'baseline' AS is_baseline, "
        "r.loss AS loss_nats, e.standard_error "
        "FROM firsts f JOIN nodes n ON n.campaign_id = ?2 AND n.node = f.node "
        "JOIN runs r ON r.candidate_id = n.candidate_id JOIN candidates c ON c.id = n.candidate_id "
        "LEFT JOIN errors e ON e.node = n.node WHERE n.failure = '' ORDER BY f.first",
        (task_id, campaign_id),
    )
    return [FirstTraining(**{**dict(row), "is_baseline": bool(row["is_baseline"])}) for row in rows]


class Design(NamedTuple):
    """The candidate of a node, with its id, which else is a hash of its source each time."""

    node: int
    operator: str
    id: str
    candidate: Candidate


def designs(memory: Memory, campaign_id: int) -> list[Design]:
    """The candidates of a campaign by node, baselines at -1, -2, ...; nodes without a candidate are left out."""
    rows = memory.connection.rows(
        "SELECT n.node, n.operator, c.* FROM nodes n JOIN candidates c ON c.id = n.candidate_id "
        "WHERE n.campaign_id = ? ORDER BY n.node",
        (campaign_id,),
    )
    return [Design(row["node"], row["operator"], row["id"], candidate_of(row)) for row in rows]


def parents(memory: Memory, campaign_id: int) -> dict[str, tuple[str, ...]]:
    """What the designs of a campaign came from, by candidate id; designs without parents are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    sql = (
        "SELECT n.candidate_id, e.parent_id FROM edges e JOIN nodes n ON n.campaign_id = e.campaign_id "
        "AND n.node = e.node WHERE e.campaign_id = ? AND e.node >= 0 AND e.parent_id IS NOT NULL "
        "ORDER BY e.node, e.position"
    )
    for candidate_id, parent_id in memory.connection.rows(sql, (campaign_id,)):
        found[candidate_id].append(parent_id)
    return {candidate_id: tuple(dict.fromkeys(each)) for candidate_id, each in found.items()}
