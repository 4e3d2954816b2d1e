"""Lessons as they stand: what is claimed, by which experiments, and how far it can be trusted by now."""

from __future__ import annotations

import itertools
import sqlite3
from dataclasses import dataclass

from netwright.confidence import confidence
from netwright.memory.store import Memory


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """An experiment that speaks for a lesson (`supports`) or against it, with its verdict."""

    supports: bool
    candidate_id: str
    short: str
    title: str
    campaign: str
    node: int
    outcome: str
    delta_nats: float | None
    at: str


@dataclass(frozen=True, kw_only=True)
class StandingLesson:
    """A claim about a task, with its evidence in the order in which it came.

    `trend` is the confidence after each piece of evidence, `confidence` the last of these. `retired` says why the
    lesson stands no longer; empty while it does.
    """

    id: int
    claim: str
    task_id: str
    campaigns: tuple[str, ...]
    confidence: float
    trend: tuple[float, ...]
    evidence: tuple[Evidence, ...]
    first_seen: str
    retired: str


def lessons(
    memory: Memory, *, campaign: str | None = None, task: str | None = None, retired: bool = False
) -> list[StandingLesson]:
    """The lessons that stand (or those that are `retired`), the most trusted first.

    Of a task by its id or name; of a campaign, those that any of its experiments speaks for or against.

    Raises:
        NotFound: there is no such campaign.
    """
    conditions, parameters = [f"l.retired {'<>' if retired else '='} ''"], []
    if task is not None:
        conditions.append("(l.task_id = ? OR l.task_id IN (SELECT id FROM tasks WHERE name = ?))")
        parameters += [task, task]
    if campaign is not None:
        conditions.append(
            "l.id IN (SELECT o.lesson_id FROM evidence o JOIN verdicts w ON w.id = o.verdict_id "
            "WHERE w.campaign_id = ?)"
        )
        parameters.append(str(memory.campaign(campaign).id))
    rows = memory.connection.rows(
        "SELECT l.id, l.claim, l.task_id, l.created_at AS first_seen, l.retired, e.supports, e.candidate_id, c.short, "
        "c.title, p.name AS campaign, v.node, v.outcome, v.delta_nats, e.created_at AS at FROM lessons l "
        "JOIN evidence e ON e.lesson_id = l.id JOIN verdicts v ON v.id = e.verdict_id "
        "JOIN campaigns p ON p.id = v.campaign_id JOIN candidates c ON c.id = e.candidate_id "
        f"WHERE {' AND '.join(conditions)} ORDER BY l.id, e.id",
        parameters,
    )
    found = [_lesson(list(group)) for _, group in itertools.groupby(rows, key=lambda row: row["id"])]
    return sorted(found, key=lambda lesson: (-lesson.confidence, -len(lesson.evidence), lesson.id))


def _lesson(rows: list[sqlite3.Row]) -> StandingLesson:
    evidence = tuple(
        Evidence(**{name: row[name] for name in Evidence.__dataclass_fields__} | {"supports": bool(row["supports"])})
        for row in rows
    )
    sides = [each.supports for each in evidence]
    trend = tuple(confidence(sum(sides[:count]), count - sum(sides[:count])) for count in range(1, len(sides) + 1))
    same = {name: rows[0][name] for name in ("id", "claim", "task_id", "first_seen", "retired")}
    campaigns = tuple(dict.fromkeys(each.campaign for each in evidence))
    return StandingLesson(**same, campaigns=campaigns, confidence=trend[-1], trend=trend, evidence=evidence)
