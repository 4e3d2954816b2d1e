"""What candidates train on where budgets are not equal in tokens: measured once for each task."""

from __future__ import annotations

import sqlite3

from netwright.memory.connection import Connection, now
from netwright.memory.rows import NOT_ISOLATED
from netwright.types import Share

_COLUMNS = tuple(Share.model_fields)


def put(conn: sqlite3.Connection, share: Share) -> None:
    """Keep a share inside the caller's transaction; the first stays, unless it was not isolated and this one was."""
    values = share.model_dump() | {"created_at": now()}
    conn.execute(
        f"INSERT INTO shares ({', '.join(values)}) VALUES ({', '.join('?' * len(values))}) "
        "ON CONFLICT (candidate_id, task_id) DO UPDATE SET "
        f"{', '.join(f'{name} = excluded.{name}' for name in values)} "
        f"WHERE shares.tier = '{NOT_ISOLATED}' AND excluded.tier <> '{NOT_ISOLATED}'",
        tuple(values.values()),
    )


def find(connection: Connection, candidate_id: str, task_id: str, tier: str | None) -> Share | None:
    """The candidate's share; see Memory.share."""
    isolated = tier not in (None, NOT_ISOLATED)
    row = connection.row(
        f"SELECT {', '.join(_COLUMNS)} FROM shares WHERE candidate_id = ? AND task_id = ?"
        + (f" AND tier <> '{NOT_ISOLATED}'" if isolated else ""),
        (candidate_id, task_id),
    )
    return None if row is None else Share(**dict(row))
