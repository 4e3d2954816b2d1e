"""Measures in the tables: what candidates cost in use, by their own account; the latest on a machine counts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from netwright.measures import Measures
from netwright.memory.connection import Connection, now
from netwright.memory.rows import insert, to_json

_LISTS = ("inference", "states", "problems")


def put(conn: sqlite3.Connection, measures: Measures) -> None:
    """Keep measures, inside the caller's transaction; earlier ones stay beside them."""
    row = measures.model_dump(mode="json")
    insert(conn, "measures", row | {name: to_json(row[name]) for name in _LISTS} | {"created_at": now()})


def load(connection: Connection, given: Mapping[str, str]) -> list[Measures]:
    """The latest measures of each candidate, task and machine that fit all that is `given`, by column."""
    where = " AND ".join(["1", *(f"{name} = ?" for name in given)])
    latest = f"SELECT max(id) FROM measures WHERE {where} GROUP BY candidate_id, task_id, machine"
    found = connection.rows(f"SELECT * FROM measures WHERE id IN ({latest}) ORDER BY id", tuple(given.values()))
    return [measures_of(row) for row in found]


def measures_of(row: sqlite3.Row) -> Measures:
    fields = {name: row[name] for name in Measures.model_fields}
    return Measures(**fields | {name: json.loads(row[name]) for name in _LISTS})
