"""What designs are made of, what their processes showed of them, and proposals that had been tried."""

from __future__ import annotations

from collections import Counter

from netwright.memory.connection import Connection, now
from netwright.memory.rows import NOT_ISOLATED, insert, name_task
from netwright.portrait import Portrait, TracedGraph
from netwright.types import Structure


class Designs:
    """What a Memory can do for whoever compares designs; see there."""

    connection: Connection

    def put_structure(self, candidate_id: str, task_id: str, version: int, structure: Structure) -> None:
        """Keep what a candidate is made of, as that version reads it; what an earlier version read gives way."""
        with self.connection.write() as conn:
            name_task(conn, task_id)
            conn.execute(
                "INSERT INTO structures (candidate_id, task_id, version, body, created_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (candidate_id, task_id) DO UPDATE SET version = excluded.version, body = excluded.body, "
                "created_at = excluded.created_at WHERE excluded.version > structures.version",
                (candidate_id, task_id, version, structure.model_dump_json(), now()),
            )

    def structures(self, task_id: str, version: int, candidate_id: str | None = None) -> dict[str, Structure]:
        """What a task's candidates (or that one) are made of, by candidate, oldest first; of that version alone."""
        sql = "SELECT candidate_id, body FROM structures WHERE task_id = ? AND version = ?"
        parameters: tuple[object, ...] = (task_id, version)
        if candidate_id is not None:
            sql, parameters = f"{sql} AND candidate_id = ?", (*parameters, candidate_id)
        rows = self.connection.rows(f"{sql} ORDER BY id", parameters)
        return {row["candidate_id"]: Structure.model_validate_json(row["body"]) for row in rows}

    def put_portrait(self, candidate_id: str, task_id: str, portrait: Portrait, tier: str = "") -> None:
        """Keep what a candidate's process showed at `tier`; the first stays, unless it alone was not isolated."""
        trace = portrait.trace.model_dump_json() if portrait.trace is not None else None
        with self.connection.write() as conn:
            name_task(conn, task_id)
            conn.execute(
                "INSERT INTO portraits (candidate_id, task_id, function, trace, tier, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (candidate_id, task_id) DO UPDATE SET "
                "function = excluded.function, trace = excluded.trace, tier = excluded.tier, "
                "created_at = excluded.created_at "
                f"WHERE portraits.tier = '{NOT_ISOLATED}' AND excluded.tier <> '{NOT_ISOLATED}'",
                (candidate_id, task_id, portrait.function, trace, tier, now()),
            )

    def portrait(self, candidate_id: str, task_id: str, *, tier: str | None = None) -> Portrait | None:
        """What the candidate's process showed of it, if it was portrayed.

        With the `tier` that is in force now, None also if it was not isolated meanwhile and would be now.
        """
        row = self.connection.row(
            "SELECT function, trace, tier FROM portraits WHERE candidate_id = ? AND task_id = ?",
            (candidate_id, task_id),
        )
        if row is None or (row["tier"] == NOT_ISOLATED and tier not in (None, NOT_ISOLATED)):
            return None
        trace = TracedGraph.model_validate_json(row["trace"]) if row["trace"] is not None else None
        return Portrait(function=row["function"], trace=trace)

    def put_duplicate(self, campaign_id: int, action: int, candidate_id: str, kind: str, owner: int) -> None:
        """Note that an action's proposal was that of node `owner`, and what it was recognised by."""
        values = {"campaign_id": campaign_id, "action": action, "candidate_id": candidate_id, "kind": kind}
        with self.connection.write() as conn:
            insert(conn, "duplicates", {**values, "owner": owner, "created_at": now()}, ignore=True)

    def duplicates(self, campaign_id: int) -> Counter[str]:
        """How many proposals of a campaign had been tried, by what they were recognised by; the most first."""
        sql = "SELECT kind, count(*) AS n FROM duplicates WHERE campaign_id = ? GROUP BY kind ORDER BY n DESC, kind"
        return Counter({row["kind"]: row["n"] for row in self.connection.rows(sql, (campaign_id,))})
