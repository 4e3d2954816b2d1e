"""What designs are made of, what their processes showed of them, who had them before, and what persons decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from netwright.memory.connection import Connection, now
from netwright.memory.records import Review
from netwright.memory.rows import NOT_ISOLATED, insert, name_task
from netwright.portrait import Portrait, TracedGraph
from netwright.types import Structure

RECOGNISED = {
    "source": "proposed again as they were",
    "code": "proposed again in other words",
    "function": "proposed again in other code",
    "remembered": "trained before, and answered from memory",
    "near": "trained though almost the same as one before",
}
"""What each kind of duplicate says of designs."""


def recognised(duplicates: Mapping[str, int]) -> str:
    """Say how many proposals were known designs, by what they were recognised by; empty where none was."""
    return ", ".join(f"{duplicates[kind]} {words}" for kind, words in RECOGNISED.items() if duplicates.get(kind))


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

    def sizes(self, candidate_id: str, task_id: str) -> tuple[int | None, float | None]:
        """Parameters of the network and FLOPs per token, as the first training that told any of them told both."""
        row = self.connection.row(
            "SELECT parameters, flops_per_token FROM trials WHERE candidate_id = ? AND task_id = ? "
            "AND parameters IS NOT NULL ORDER BY id LIMIT 1",
            (candidate_id, task_id),
        )
        return (None, None) if row is None else (row["parameters"], row["flops_per_token"])

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

    def trace(self, candidate_id: str) -> TracedGraph | None:
        """The operations that the candidate's process showed last, on whatever task."""
        row = self.connection.row(
            "SELECT trace FROM portraits WHERE candidate_id = ? AND trace IS NOT NULL ORDER BY id DESC",
            (candidate_id,),
        )
        return TracedGraph.model_validate_json(row["trace"]) if row is not None else None

    def parents(self, candidate_id: str) -> list[str]:
        """The ids of what the candidate was made from, in the order in which its makers named them."""
        rows = self.connection.rows(
            "SELECT e.parent_id FROM edges e JOIN nodes n ON n.campaign_id = e.campaign_id AND n.node = e.node "
            "WHERE n.candidate_id = ? AND e.parent_id IS NOT NULL ORDER BY n.id, e.position",
            (candidate_id,),
        )
        return list(dict.fromkeys(str(row["parent_id"]) for row in rows))

    def first_scores(self, campaign_id: int, most: int = -1) -> list[tuple[str, float]]:
        """The candidates of a campaign that were scored at the lowest rung, each with the first score of its node.

        In the order in which they were remembered, `most` of them or all: later ones never change the earlier.
        """
        rows = self.connection.rows(
            "SELECT s.candidate_id, s.value, min(s.id) AS first FROM scores s "
            "JOIN nodes n ON n.campaign_id = s.campaign_id AND n.node = s.node "
            "WHERE s.campaign_id = ? AND s.rung = 0 AND n.failure = '' GROUP BY s.node ORDER BY first LIMIT ?",
            (campaign_id, most),
        )
        return [(row["candidate_id"], row["value"]) for row in rows]

    def is_isolated(self, campaign_id: int) -> bool:
        """Whether none of the campaign's own trials ran with resource limits only."""
        sql = f"SELECT 1 FROM trials WHERE campaign_id = ? AND tier = '{NOT_ISOLATED}' LIMIT 1"
        return self.connection.row(sql, (campaign_id,)) is None

    def put_duplicate(self, campaign_id: int, action: int, candidate_id: str, kind: str, owner: int) -> bool:
        """Note that an action's proposal was that of node `owner`, and by what; False if it was noted before."""
        values = {"campaign_id": campaign_id, "action": action, "candidate_id": candidate_id, "kind": kind}
        with self.connection.write() as conn:
            return insert(conn, "duplicates", {**values, "owner": owner, "created_at": now()}, ignore=True) is not None

    def known_proposals(self, campaign_id: int) -> list[tuple[int, str, str, int]]:
        """The proposals of a campaign that were known designs, as noted: action, candidate, kind and owner."""
        sql = "SELECT action, candidate_id, kind, owner FROM duplicates WHERE campaign_id = ? ORDER BY id"
        return [tuple(row) for row in self.connection.rows(sql, (campaign_id,))]

    def trained_before(self, campaign_id: int, candidate_id: str, task_id: str) -> bool:
        """Whether a trial of the candidate that counts was none of this campaign's."""
        sql = (
            "SELECT 1 FROM trials WHERE candidate_id = ? AND task_id = ? AND superseded = 0 AND repeat = 0 "
            "AND split = 'validation' AND campaign_id IS NOT ? LIMIT 1"
        )
        return self.connection.row(sql, (candidate_id, task_id, campaign_id)) is not None

    def duplicates(self, campaign_id: int | None = None) -> Counter[str]:
        """How many proposals of a campaign, or of all, were known designs, by what they were recognised by."""
        where, parameters = ("WHERE campaign_id = ?", (campaign_id,)) if campaign_id is not None else ("", ())
        rows = self.connection.rows(f"SELECT kind, count(*) AS n FROM duplicates {where} GROUP BY kind", parameters)
        return Counter({row["kind"]: row["n"] for row in rows})

    def put_review(self, campaign_id: int, review: Review) -> None:
        """Keep what a person decided; the first answer to a question stays."""
        with self.connection.write() as conn:
            values = {"campaign_id": campaign_id, **review.model_dump(), "created_at": now()}
            insert(conn, "reviews", values, ignore=True)

    def reviews(self, campaign_id: int) -> list[Review]:
        """All that persons decided in a campaign, in that order."""
        rows = self.connection.rows("SELECT * FROM reviews WHERE campaign_id = ? ORDER BY id", (campaign_id,))
        return [Review(**{name: row[name] for name in Review.model_fields}) for row in rows]
