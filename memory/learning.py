"""The parts of a memory that fill slowly: replies of endpoints, verdicts, lessons, looks at the test split."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence

from netwright.memory.connection import Connection, now
from netwright.memory.experiments import is_replay, put_claim
from netwright.memory.records import Asked, CallHabit, Knowledge, Lesson, LlmTotals, Opening
from netwright.memory.rows import insert, llm_of, llm_row, storable, to_json, verdict_of
from netwright.types import LlmCall, Verdict


def prompt_reuse(prefix_share: float | None, cached_share: float | None = None) -> str:
    """Say how much of the prompts was said before, and how much of that servers kept; empty where nobody knows."""
    said = [] if prefix_share is None else [f", {prefix_share:.0%} of prompts repeated"]
    said += [] if cached_share is None else [f", {cached_share:.0%} kept by the server"]
    return "".join(said)


class Learning:
    """What a Memory can do besides campaigns and measurements; see there."""

    connection: Connection

    def find_llm_call(self, key: str, campaign_id: int | None = None) -> LlmCall | None:
        """The latest call under `key` that brought a reply; one of that campaign before those of others."""
        found = "SELECT * FROM llm_calls WHERE key = ? AND reply IS NOT NULL"
        row = self.connection.row(f"{found} ORDER BY campaign_id IS ? DESC, id DESC LIMIT 1", (key, campaign_id))
        return None if row is None else llm_of(row)

    def recorded_llm_call(self, campaign_id: int, key: str) -> LlmCall | None:
        """What a campaign got under `key` at last, be it a failure; else a reply that another one got."""
        sql = "SELECT * FROM llm_calls WHERE key = ? AND campaign_id = ? ORDER BY id DESC LIMIT 1"
        row = self.connection.row(sql, (key, campaign_id))
        return self.find_llm_call(key) if row is None else llm_of(row)

    def llm_calls(self, campaign_id: int, **fields: str | int) -> list[LlmCall]:
        """The calls of a campaign that have these values in `fields`, in the order in which they ended."""
        where = " AND ".join(["campaign_id = ?", *(f"{name} = ?" for name in fields)])
        sql = f"SELECT * FROM llm_calls WHERE {where} ORDER BY id"
        return [llm_of(row) for row in self.connection.rows(sql, (campaign_id, *fields.values()))]

    def llm_models(self, campaign_id: int) -> list[str]:
        """The models that a campaign asked."""
        sql = "SELECT model FROM llm_calls WHERE campaign_id = ? GROUP BY model ORDER BY min(id)"
        return [row["model"] for row in self.connection.rows(sql, (campaign_id,))]

    def put_llm_call(self, campaign_id: int | None, call: LlmCall) -> None:
        """Keep a call, whether it succeeded or not; under one key every failure is kept."""
        row = {"campaign_id": campaign_id, "replayed": 0, **llm_row(call)}
        values = {name: storable(value) for name, value in row.items()}
        same = " AND ".join(f"{name} IS ?" for name in values)
        with self.connection.write() as conn:
            if not conn.execute(f"SELECT 1 FROM llm_calls WHERE {same}", tuple(values.values())).fetchone():
                insert(conn, "llm_calls", {**values, "created_at": now()})

    def put_replayed_call(self, campaign_id: int, call: LlmCall) -> None:
        """Keep that a campaign used what came of a call of another one, if it has none like it; it costs nothing."""
        counts = ("prompt_tokens", "completion_tokens", "prefix_tokens", "cached_tokens")
        free = call.model_copy(update={**dict.fromkeys(counts), "seconds": 0.0})
        with self.connection.write() as conn:
            known = "SELECT 1 FROM llm_calls WHERE campaign_id = ? AND key = ?"
            if not conn.execute(known, (campaign_id, call.key)).fetchone():
                values = {"campaign_id": campaign_id, "replayed": 1, **llm_row(free), "created_at": now()}
                insert(conn, "llm_calls", values)

    def llm_totals(self, campaign_id: int | None = None, action: int | None = None) -> LlmTotals:
        """Calls, tokens and seconds spent on endpoints, by one campaign (and for one action of it) or by all.

        What was replayed is not counted.
        """
        given = {"campaign_id": campaign_id, "action": action}
        chosen = {column: value for column, value in given.items() if value is not None}
        where = " AND ".join(["WHERE replayed = 0", *(f"{column} = ?" for column in chosen)])
        parameters = list(chosen.values())
        row = self.connection.row(
            "SELECT count(*) AS calls, coalesce(sum(reply IS NULL), 0) AS failed, "
            "coalesce(sum(prompt_tokens), 0) AS prompt_tokens, "
            "coalesce(sum(completion_tokens), 0) AS completion_tokens, "
            "coalesce(sum(seconds), 0.0) AS seconds, coalesce(max(tokens_estimated), 0) AS tokens_estimated, "
            "coalesce(sum(prefix_tokens), 0) AS prefix_tokens, "
            "1.0 * sum(prefix_tokens) / sum(iif(prefix_tokens IS NULL, NULL, prompt_tokens)) AS prefix_share, "
            "1.0 * sum(cached_tokens) / sum(iif(cached_tokens IS NULL, NULL, prompt_tokens)) AS cached_share "
            f"FROM llm_calls {where}",
            parameters,
        )
        found = self.connection.rows(
            "SELECT role, model, count(*) AS calls, coalesce(sum(prompt_tokens), 0) AS prompt_tokens, "
            f"coalesce(sum(completion_tokens), 0) AS completion_tokens FROM llm_calls {where} GROUP BY role, model",
            parameters,
        )
        asked = [Asked.model_validate(dict(each)) for each in found]
        by_role = Counter[str]()
        for each in asked:
            by_role[each.role] += each.calls
        return LlmTotals.model_validate({**dict(row or {}), "by_role": by_role, "asked": asked})

    def call_habit(self, role: str, model: str | None = None, task_id: str | None = None) -> CallHabit | None:
        """What calls of `role` were like in campaigns that trained anything; of one model and on one task, if given."""
        named = {"l.role": role, "l.model": model, "p.task_id": task_id}
        given = {column: value for column, value in named.items() if value is not None}
        row = self.connection.row(
            "WITH asked AS (SELECT l.* FROM llm_calls l JOIN campaigns p ON p.id = l.campaign_id "
            f"WHERE l.reply IS NOT NULL AND l.replayed = 0 AND {' AND '.join(f'{column} = ?' for column in given)}), "
            "trained AS (SELECT DISTINCT campaign_id, node FROM scores "
            "WHERE node >= 0 AND campaign_id IN (SELECT campaign_id FROM asked)), "
            "whole AS (SELECT count(*) AS calls FROM llm_calls "
            "WHERE role = ? AND replayed = 0 AND campaign_id IN (SELECT campaign_id FROM trained)) "
            "SELECT count(*) AS calls, coalesce(avg(prompt_tokens), 0) AS prompt_tokens, "
            "coalesce(avg(completion_tokens), 0) AS completion_tokens, avg(seconds) AS seconds, "
            "(SELECT calls FROM whole) * 1.0 / (SELECT count(*) FROM trained) AS per_candidate "
            "FROM asked WHERE campaign_id IN (SELECT campaign_id FROM trained)",
            (*given.values(), role),
        )
        return CallHabit.model_validate(dict(row)) if row is not None and row["calls"] else None

    def lessons(self, task_id: str | None = None, limit: int | None = None) -> list[Lesson]:
        """Lessons with their evidence, those with most support first, retired ones last; of one task, or of all."""
        where, parameters = ("WHERE l.task_id = ?", [task_id]) if task_id is not None else ("", [])
        found = self.connection.rows(
            "SELECT l.id, l.claim, l.task_id, l.created_at, l.retired, e.candidate_id, e.supports, p.name "
            "FROM lessons l JOIN evidence e ON e.lesson_id = l.id JOIN verdicts v ON v.id = e.verdict_id "
            f"JOIN campaigns p ON p.id = v.campaign_id {where} ORDER BY l.id, e.id",
            parameters,
        )
        by_id: dict[int, list[sqlite3.Row]] = {}
        for row in found:
            by_id.setdefault(row["id"], []).append(row)
        lessons = [_lesson(rows) for rows in by_id.values()]
        lessons.sort(key=lambda lesson: (bool(lesson.retired), len(lesson.opposing) - len(lesson.supporting)))
        return lessons[:limit]

    def put_lesson(
        self, campaign_id: int, claim: str, *, supporting: Sequence[int], opposing: Sequence[int], retired: str = ""
    ) -> None:
        """Keep a lesson as it now stands: which nodes of the campaign speak for it and against it by their verdicts.

        `retired` says why it stands no longer. What other campaigns have for it or against it stays. A replay is no
        further evidence.
        """
        with self.connection.write() as conn:
            if is_replay(conn, campaign_id):
                return
            lesson_id = put_claim(conn, campaign_id, claim)
            conn.execute("UPDATE lessons SET retired = ? WHERE id = ?", (retired, lesson_id))
            for nodes, supports in ((supporting, 1), (opposing, 0)):
                for node in nodes:
                    conn.execute(
                        "INSERT INTO evidence (lesson_id, verdict_id, candidate_id, supports, created_at) "
                        "SELECT ?, id, candidate_id, ?, ? FROM verdicts WHERE campaign_id = ? AND node = ? "
                        "ORDER BY id DESC LIMIT 1 ON CONFLICT (lesson_id, verdict_id) DO UPDATE SET supports = ?",
                        (lesson_id, supports, now(), campaign_id, node, supports),
                    )

    def verdicts(self, campaign_id: int) -> dict[int, Verdict]:
        """The latest verdict of every node of a campaign that has one, baselines apart."""
        sql = "SELECT *, max(id) FROM verdicts WHERE campaign_id = ? AND node >= 0 GROUP BY node ORDER BY node"
        return {row["node"]: verdict_of(row) for row in self.connection.rows(sql, (campaign_id,))}

    def put_opening(self, campaign_id: int | None, opening: Opening) -> None:
        """Keep that the locked split is about to be opened; the same look is kept once."""
        row = {**opening.model_dump(), "seeds": to_json(sorted(opening.seeds))}
        with self.connection.write() as conn:
            insert(conn, "openings", {"campaign_id": campaign_id, **row, "opened_at": now()}, ignore=True)

    def openings(self, task_id: str) -> list[Opening]:
        """Every look at the locked split of a task, oldest first."""
        found = self.connection.rows("SELECT * FROM openings WHERE task_id = ? ORDER BY id", (task_id,))
        names = [name for name in Opening.model_fields if name != "seeds"]
        return [Opening(**{name: row[name] for name in names}, seeds=json.loads(row["seeds"])) for row in found]

    def put_knowledge(self, item: Knowledge) -> None:
        """Keep a piece of outside knowledge, once per kind, title and source."""
        with self.connection.write() as conn:
            insert(conn, "knowledge", {**item.model_dump(), "created_at": now()}, ignore=True)

    def knowledge(self, kind: str | None = None) -> list[Knowledge]:
        """All outside knowledge, or that of one kind."""
        where, parameters = ("WHERE kind = ?", (kind,)) if kind is not None else ("", ())
        found = self.connection.rows(f"SELECT * FROM knowledge {where} ORDER BY id", parameters)
        return [Knowledge(**{name: row[name] for name in Knowledge.model_fields}) for row in found]


def _lesson(rows: Sequence[sqlite3.Row]) -> Lesson:
    first = rows[0]
    return Lesson(
        id=first["id"],
        claim=first["claim"],
        task_id=first["task_id"],
        supporting=tuple(dict.fromkeys(row["candidate_id"] for row in rows if row["supports"])),
        opposing=tuple(dict.fromkeys(row["candidate_id"] for row in rows if not row["supports"])),
        campaigns=tuple(dict.fromkeys(row["name"] for row in rows)),
        first_seen=first["created_at"],
        retired=first["retired"],
    )
