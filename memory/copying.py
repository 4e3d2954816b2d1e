"""Rows of an attached memory, `theirs`, copied into `main`, with all that they refer to under its numbers here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

_MAPPED = {
    "task_id": "(SELECT ours FROM temp.tasks_map WHERE theirs = o.task_id)",
    "campaign_id": "(SELECT ours FROM temp.campaigns_map WHERE theirs = o.campaign_id)",
    "trial_id": "(SELECT ours FROM temp.trials_map WHERE theirs = o.trial_id)",
    "lesson_id": "(SELECT ours FROM temp.lessons_map WHERE theirs = o.lesson_id)",
    "verdict_id": "(SELECT ours FROM temp.verdicts_map WHERE theirs = o.verdict_id)",
}
_CARDS = "(SELECT coalesce(max(ours), 0) FROM temp.knowledge_map WHERE theirs <= json_extract(o.{0}, '{1}'))"
_NUMBERED = {"id", "number"}


def mapped(column: str) -> str:
    """A column of theirs (table `o`) as it is to be here."""
    return _MAPPED.get(column, f"o.{column}")


class Copying:
    """Copies tables, and knows which task, campaign, card, trial, lesson and verdict there is which here.

    It keeps that in temporary tables, once in the life of a connection, inside the caller's transaction.
    """

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        for name in ("knowledge", "trials", "lessons", "verdicts"):
            conn.execute(f"CREATE TEMP TABLE {name}_map (theirs INTEGER PRIMARY KEY, ours INTEGER)")
        conn.execute("CREATE TEMP TABLE tasks_map (theirs TEXT PRIMARY KEY, ours TEXT) WITHOUT ROWID")
        conn.execute(
            "CREATE TEMP TABLE campaigns_map (theirs INTEGER PRIMARY KEY, ours INTEGER, further INTEGER, told INTEGER)"
        )

    def task(self, theirs: str, ours: str) -> None:
        """Note what a task of theirs is called here."""
        self._conn.execute("INSERT INTO temp.tasks_map VALUES (?, ?)", (theirs, ours))

    def campaign(self, theirs: int, ours: int, *, further: bool, told: int) -> None:
        """Note which campaign here is one of theirs, whether it went on there, and how many records it has here."""
        self._conn.execute("INSERT INTO temp.campaigns_map VALUES (?, ?, ?, ?)", (theirs, ours, further, told))

    def columns(self, table: str) -> tuple[str, ...]:
        names = [row["name"] for row in self._conn.execute(f"PRAGMA main.table_info({table})")]
        return tuple(name for name in names if name not in _NUMBERED or (table == "candidates" and name == "id"))

    def count(self, table: str, schema: str = "theirs") -> int:
        return int(self._conn.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone()[0])

    def copy(self, table: str, known_by: Iterable[str], where: str = "1", superseded: str | None = None) -> int:
        """Insert the rows of theirs that are not known here by these columns, or by all; how many it were."""
        same = " AND ".join(f"m.{name} IS {mapped(name)}" for name in tuple(known_by) or self.columns(table))
        return self.insert(
            table, f"NOT EXISTS (SELECT 1 FROM main.{table} m WHERE {same}) AND {where}", superseded=superseded
        )

    def insert(self, table: str, where: str, row: int | None = None, superseded: str | None = None) -> int:
        """Insert the rows of theirs for which `where` holds (its `?` is `row`); `superseded` may be told otherwise."""
        names = self.columns(table)
        values = ", ".join(superseded if superseded and name == "superseded" else _value(table, name) for name in names)
        sql = (
            f"INSERT INTO main.{table} ({', '.join(names)}) SELECT {values} FROM theirs.{table} o WHERE {where} "
            "ORDER BY o.rowid ON CONFLICT DO NOTHING"
        )
        return self._conn.execute(sql, () if row is None else (row,)).rowcount

    def add(self, table: str, row: int, superseded: int) -> None:
        self.insert(table, "o.id = ?", row, superseded=str(superseded))

    def map(self, table: str, known_by: Iterable[str]) -> None:
        """Note which row of theirs is which here, by these columns."""
        same = " AND ".join(f"m.{name} IS {mapped(name)}" for name in known_by)
        self._conn.execute(
            f"INSERT INTO temp.{table}_map SELECT o.id, min(m.id) FROM theirs.{table} o JOIN main.{table} m ON {same} "
            "GROUP BY o.id"
        )


def _value(table: str, column: str) -> str:
    """What a column of theirs becomes here; in the search's log the number of the last card that was there."""
    path = {("actions", "body"): "$.cards", ("journal", "record"): "$.action.cards"}.get((table, column))
    if path is None:
        return mapped(column)
    ours = _CARDS.format(column, path)
    same = f"coalesce(json_extract(o.{column}, '{path}'), 0) = {ours}"
    return f"iif({same}, o.{column}, json_set(o.{column}, '{path}', {ours}))"
