"""The one write that makes an experiment: node, edges, attempts, score, verdict, lesson, closed action.

Every function here runs inside a transaction that its caller opened (`Connection.write`).
"""

from __future__ import annotations

import json
import sqlite3
from itertools import zip_longest

from netwright.memory.connection import Connection, now
from netwright.memory.records import Experiment, ExperimentRecord
from netwright.memory.rows import candidate_of, insert, score_of, to_json, verdict_row
from netwright.types import Action, claim_key


def put_action(conn: sqlite3.Connection, campaign_id: int, action: Action) -> None:
    """Log that the search asked for `action`; a second time changes nothing."""
    values = {
        "campaign_id": campaign_id,
        "action": action.index,
        "kind": action.kind,
        "operator": action.operator,
        "parents": to_json(action.parents),
        "rung": action.rung,
        "body": action.model_dump_json(),
        "state": "asked",
        "stage": "",
        "failure": "",
        "asked_at": now(),
    }
    insert(conn, "actions", values, ignore=True)


def remember(conn: sqlite3.Connection, campaign_id: int, record: ExperimentRecord) -> bool:
    """Write `record`; False if it was there already."""
    if record.action is not None:
        put_action(conn, campaign_id, record.action)
        if _is_done(conn, campaign_id, record.action.index):
            return False
    is_new = _put_node(conn, campaign_id, record)
    if is_new:
        _put_edges(conn, campaign_id, record)
    elif record.action is None and not _is_news(conn, campaign_id, record):
        return False
    _put_attempts(conn, campaign_id, record)
    if _is_news(conn, campaign_id, record):
        _put_score(conn, campaign_id, record)
    _put_verdict(conn, campaign_id, record)
    if record.action is not None:
        _close(conn, campaign_id, record, record.action.index)
    index = None if record.action is None else record.action.index
    values = {"action": index, "node": record.node, "record": record.model_dump_json(), "at": now()}
    insert(conn, "journal", {"campaign_id": campaign_id, **values})
    return True


def _is_done(conn: sqlite3.Connection, campaign_id: int, action: int) -> bool:
    sql = "SELECT 1 FROM actions WHERE campaign_id = ? AND action = ? AND state = 'done'"
    return conn.execute(sql, (campaign_id, action)).fetchone() is not None


def _is_news(conn: sqlite3.Connection, campaign_id: int, record: ExperimentRecord) -> bool:
    """Whether `record` has a score that is not the latest of its node already."""
    sql = "SELECT * FROM scores WHERE campaign_id = ? AND node = ? ORDER BY id DESC LIMIT 1"
    row = conn.execute(sql, (campaign_id, record.node)).fetchone()
    return record.score is not None and (row is None or score_of(row) != record.score)


def _put_node(conn: sqlite3.Connection, campaign_id: int, record: ExperimentRecord) -> bool:
    rung = record.score.rung if record.score is not None else record.action.rung if record.action else 0
    values = {
        "campaign_id": campaign_id,
        "node": record.node,
        "operator": record.operator.value,
        "candidate_id": record.candidate_id,
        "rung": rung,
        "stage": record.stage,
        "failure": record.failure,
        "seconds": record.seconds,
        "visits": 0,
        "created_at": now(),
    }
    if insert(conn, "nodes", values, ignore=True) is not None:
        return True
    reached = rung if record.score is not None else 0
    conn.execute(
        "UPDATE nodes SET rung = max(rung, ?), seconds = seconds + ? WHERE campaign_id = ? AND node = ?",
        (reached, record.seconds, campaign_id, record.node),
    )
    return False


def _put_edges(conn: sqlite3.Connection, campaign_id: int, record: ExperimentRecord) -> None:
    for position, (node, candidate) in enumerate(zip_longest(record.parents, record.parent_ids)):
        values = {"node": record.node, "position": position, "parent_node": node, "parent_id": candidate}
        insert(conn, "edges", {"campaign_id": campaign_id, **values})


def _put_attempts(conn: sqlite3.Connection, campaign_id: int, record: ExperimentRecord) -> None:
    for position, attempt in enumerate(record.attempts):
        values = {"campaign_id": campaign_id, "node": record.node, "position": position, "created_at": now()}
        insert(conn, "attempts", {**values, **attempt.model_dump()})


def _put_score(conn: sqlite3.Connection, campaign_id: int, record: ExperimentRecord) -> None:
    assert record.score is not None
    values = {"candidate_id": record.candidate_id, **record.score.model_dump(), "created_at": now()}
    insert(conn, "scores", {"campaign_id": campaign_id, "node": record.node, **values})


def _put_verdict(conn: sqlite3.Connection, campaign_id: int, record: ExperimentRecord) -> None:
    if record.verdict is None or record.candidate_id is None:
        return
    values = {"candidate_id": record.candidate_id, **verdict_row(record.verdict), "created_at": now()}
    verdict_id = insert(conn, "verdicts", {"campaign_id": campaign_id, "node": record.node, **values})
    if record.verdict.lesson and verdict_id is not None:
        _put_lesson(conn, campaign_id, record.verdict.lesson, verdict_id, record.candidate_id)


def _put_lesson(conn: sqlite3.Connection, campaign_id: int, claim: str, verdict_id: int, candidate_id: str) -> None:
    """Keep a lesson and what speaks for it; a replay is no further evidence."""
    if is_replay(conn, campaign_id):
        return
    lesson_id = put_claim(conn, campaign_id, claim)
    link = {"lesson_id": lesson_id, "verdict_id": verdict_id, "candidate_id": candidate_id, "supports": 1}
    insert(conn, "evidence", {**link, "created_at": now()}, ignore=True)


def is_replay(conn: sqlite3.Connection, campaign_id: int) -> bool:
    """Whether the campaign repeats another one."""
    sql = "SELECT json_extract(config, '$.replay') FROM campaigns WHERE id = ?"
    return conn.execute(sql, (campaign_id,)).fetchone()[0] is not None


def put_claim(conn: sqlite3.Connection, campaign_id: int, claim: str) -> int:
    """Keep a claim about the campaign's task, once; its id."""
    task_id = conn.execute("SELECT task_id FROM campaigns WHERE id = ?", (campaign_id,)).fetchone()[0]
    key = claim_key(claim)
    values = {"task_id": task_id, "claim": claim, "claim_key": key, "created_at": now()}
    insert(conn, "lessons", values, ignore=True)
    sql = "SELECT id FROM lessons WHERE task_id = ? AND claim_key = ?"
    return int(conn.execute(sql, (task_id, key)).fetchone()[0])


def _close(conn: sqlite3.Connection, campaign_id: int, record: ExperimentRecord, action: int) -> None:
    conn.execute(
        "UPDATE actions SET state = 'done', node = ?, candidate_id = ?, stage = ?, failure = ?, done_at = ? "
        "WHERE campaign_id = ? AND action = ?",
        (record.node, record.candidate_id, record.stage, record.failure, now(), campaign_id, action),
    )


def load(connection: Connection, campaign_id: int, node: int | None = None) -> list[Experiment]:
    """Everything that was remembered of a campaign, or of a node of it, in that order, each with its candidate."""
    found = connection.rows(
        "SELECT j.record, n.visits, n.value, c.id AS candidate_id, c.source, c.scope, c.title, c.hypothesis, "
        "c.origin, c.genotype FROM journal j "
        "JOIN nodes n ON n.campaign_id = j.campaign_id AND n.node = j.node "
        "LEFT JOIN candidates c ON c.id = json_extract(j.record, '$.candidate_id') "
        "WHERE j.campaign_id = ?1 AND (?2 IS NULL OR j.node = ?2) ORDER BY j.id",
        (campaign_id, node),
    )
    return [_experiment(row) for row in found]


def _experiment(row: sqlite3.Row) -> Experiment:
    candidate = None if row["candidate_id"] is None else candidate_of(row)
    extra = {"candidate": candidate, "visits": row["visits"], "value": row["value"]}
    return Experiment.model_validate({**json.loads(row["record"]), **extra})
