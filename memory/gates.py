"""Gate reports in the tables: of one check all together, with the tier at which it was made."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from netwright.memory.connection import Connection, now
from netwright.memory.rows import NOT_ISOLATED, gate_of, insert, to_json
from netwright.types import GateReport

_OF = "candidate_id = ? AND task_id = ?"


def put(conn: sqlite3.Connection, candidate_id: str, task_id: str, reports: Sequence[GateReport], tier: str) -> None:
    """Keep the reports of one check, inside the caller's transaction; see Memory.put_gates."""
    _put_aside(conn, candidate_id, task_id, reports, tier)
    seen: dict[str, int] = {}
    for report in reports:
        occurrence = seen[report.gate] = seen.get(report.gate, -1) + 1
        values = report.model_dump() | {"evidence": to_json(report.evidence), "tier": tier, "created_at": now()}
        key = {"candidate_id": candidate_id, "task_id": task_id, "occurrence": occurrence}
        insert(conn, "gates", {**key, **values}, ignore=True)


def _put_aside(
    conn: sqlite3.Connection, candidate_id: str, task_id: str, reports: Sequence[GateReport], tier: str
) -> None:
    """Supersede the known reports as one, where they rejected or were made under weaker isolation than the new."""
    of = (candidate_id, task_id)
    rows = conn.execute(f"SELECT * FROM gates WHERE {_OF} AND superseded = 0 ORDER BY id", of).fetchall()
    old = [gate_of(row) for row in rows]
    weaker = any(_is_weak(row["tier"]) for row in rows) and not _is_weak(tier)
    rejected = any(report.rejects for report in old) and not set(map(_said, reports)) <= set(map(_said, old))
    if weaker or rejected:
        conn.execute(
            f"UPDATE gates SET superseded = (SELECT max(superseded) + 1 FROM gates WHERE {_OF}) "
            f"WHERE {_OF} AND superseded = 0",
            (*of, *of),
        )


def _is_weak(tier: str) -> bool:
    """Whether reports of the tier may be forged; those of a time when no tier was noted may, too."""
    return tier in ("", NOT_ISOLATED)


def _said(report: GateReport) -> tuple[str, bool, str]:
    return report.gate, report.passed, report.message


def load(connection: Connection, candidate_id: str, task_id: str, tier: str | None) -> tuple[GateReport, ...]:
    """The reports in the order in which they were put; see Memory.gates."""
    sql = f"SELECT * FROM gates WHERE {_OF} AND superseded = 0 ORDER BY id"
    rows = connection.rows(sql, (candidate_id, task_id))
    if tier is not None and not _is_weak(tier) and any(_is_weak(row["tier"]) for row in rows):
        return ()
    return tuple(map(gate_of, rows))
