"""A memory from elsewhere, before anything of it is believed: whole, a netwright memory, brought forward, and readable.

It may have been made to deceive. Its own triggers, views and indexes never come over to this side: rows are read from
its plain tables, each in the way in which it will be read later, so that what is taken in can be shown.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from netwright.errors import DataError, SchemaMismatch
from netwright.memory import schema
from netwright.memory.connection import connect, inspect
from netwright.memory.measures import measures_of
from netwright.memory.records import ExperimentRecord, Review
from netwright.memory.rows import (
    SHORT,
    action_record_of,
    campaign_of,
    candidate_of,
    gate_of,
    job_of,
    llm_of,
    score_of,
    trial_of,
    verdict_of,
)
from netwright.portrait import Portrait, TracedGraph
from netwright.types import CAMPAIGN_NAME, Share, Structure, TaskSpec

_KEY = re.compile(r"(?:[0-9a-f]{2}){16,}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_AT_ONCE = 1_000


def prepare(path: Path, origin: Path) -> None:
    """Bring the memory at `path`, taken out of the file `origin`, to the schema of this netwright.

    Raises:
        SchemaMismatch: it is another program's, or a newer netwright's.
        DataError: it is damaged.
    """
    try:
        inspect(path)
    except SchemaMismatch as error:
        reason = (
            "a newer netwright: upgrade this one" if "newer" in str(error) else "another program: name another file"
        )
        raise SchemaMismatch(f"{origin} holds a memory of {reason}, and import it again") from error
    try:
        with closing(connect(path, "rw")) as conn:
            conn.execute("PRAGMA trusted_schema = OFF")
            conn.execute("PRAGMA journal_mode = DELETE")
            if (found := conn.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise DataError(f"{origin} holds a damaged memory ({found}): export it again")
            conn.execute("BEGIN IMMEDIATE")
            schema.migrate(conn, conn.execute("PRAGMA user_version").fetchone()[0])
            conn.execute("COMMIT")
    except sqlite3.Error as error:
        raise DataError(f"{origin} holds a damaged memory ({error}): export it again") from error


def examine(path: Path, origin: Path) -> None:
    """Check that all of a memory can be read as what it says it is.

    Raises:
        DataError: a table is not as it should be, or a row is none that netwright wrote.
    """
    # Beside an empty memory, which shows what tables look like.
    with closing(sqlite3.connect("file::memory:", uri=True, isolation_level=None)) as conn:
        conn.row_factory = sqlite3.Row
        schema.migrate(conn, 0)
        attach(conn, path)
        try:
            _examine(conn, origin)
        except sqlite3.Error as error:
            raise DataError(f"{origin} holds a damaged memory ({error}): export it again") from error


def attach(conn: sqlite3.Connection, path: Path) -> None:
    """Have the memory at `path` as `theirs`, to read only; before a transaction."""
    conn.execute("ATTACH ? AS theirs", (f"{path.absolute().as_uri()}?mode=ro",))


def _examine(conn: sqlite3.Connection, origin: Path) -> None:
    for (name,) in conn.execute(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE '%!_fts%' ESCAPE '!' "
        "AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    ).fetchall():
        ours, theirs = _form(conn, "main", name), _form(conn, "theirs", name)
        if ours != theirs:
            raise DataError(
                f"{origin} holds a memory whose table {name!r} is not as netwright makes it: export it again"
            )
    key = conn.execute("SELECT value FROM theirs.meta WHERE key = 'evaluation_key'").fetchone()
    if key is None or not _KEY.fullmatch(key[0]):
        raise DataError(f"{origin} holds a memory without an evaluation key: export it again")
    for table, (sql, read) in _READERS.items():
        rows = conn.execute(sql or f"SELECT * FROM theirs.{table}")
        while some := rows.fetchmany(_AT_ONCE):
            for row in some:
                try:
                    read(row)
                except (ValidationError, ValueError, TypeError, KeyError, RecursionError) as error:
                    what = str(error).splitlines()[0][:200]
                    raise DataError(f"{origin}: a row of {table} is none that netwright writes ({what})") from error


def _form(conn: sqlite3.Connection, schema_name: str, table: str) -> list[tuple[Any, ...]]:
    sql = f"SELECT 1 FROM {schema_name}.sqlite_master WHERE name = ? AND type = 'table' AND sql LIKE 'CREATE TABLE%'"
    if conn.execute(sql, (table,)).fetchone() is None:
        return []
    return sorted((row["name"], row["type"]) for row in conn.execute(f"PRAGMA {schema_name}.table_xinfo({table})"))


def _candidate(row: sqlite3.Row) -> None:
    if candidate_of(row).id != row["id"] or row["short"] != row["id"][:SHORT]:
        raise ValueError("the id of a design is not the SHA-256 of its source")


def _campaign(row: sqlite3.Row) -> None:
    campaign_of(row)
    if not CAMPAIGN_NAME.fullmatch(row["name"]):
        raise ValueError("a campaign has a name that it cannot have")


def _trial(row: sqlite3.Row) -> None:
    trial_of(row, ())
    if row["weights"] is not None and not _DIGEST.fullmatch(row["weights"]):
        raise ValueError("weights are named by their SHA-256")


def _task(row: sqlite3.Row) -> None:
    if row["spec"] is not None:
        TaskSpec.model_validate_json(row["spec"])


def _portrait(row: sqlite3.Row) -> None:
    Portrait(function=row["function"])
    if row["trace"] is not None:
        TracedGraph.model_validate_json(row["trace"])


def _fields(record: type[Review] | type[Share]) -> Callable[[sqlite3.Row], object]:
    return lambda row: record(**{name: row[name] for name in record.model_fields})


_TRIALS = (
    "SELECT t.*, k.steps AS curve_steps, k.losses AS curve_losses FROM theirs.trials t "
    "LEFT JOIN theirs.curves k ON k.trial_id = t.id"
)
_READERS: dict[str, tuple[str | None, Callable[[sqlite3.Row], object]]] = {
    "tasks": (None, _task),
    "campaigns": (None, _campaign),
    "candidates": (None, _candidate),
    "gates": (None, gate_of),
    "trials": (_TRIALS, _trial),
    "jobs": (None, job_of),
    "actions": (None, action_record_of),
    "journal": (None, lambda row: ExperimentRecord.model_validate_json(row["record"])),
    "scores": (None, score_of),
    "verdicts": (None, verdict_of),
    "reviews": (None, _fields(Review)),
    "shares": (None, _fields(Share)),
    "structures": (None, lambda row: Structure.model_validate_json(row["body"])),
    "portraits": (None, _portrait),
    "llm_calls": (None, llm_of),
    "measures": (None, measures_of),
    "openings": (None, lambda row: [int(seed) for seed in json.loads(row["seeds"])]),
}
"""How the rows of each table are read; by which statement, where that is not all of the table."""
