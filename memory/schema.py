"""The tables of `memory.db`, as numbered migrations that are never edited once released, and the views over them.

Every table is STRICT, every reference is a foreign key, timestamps are ISO 8601 in UTC, and JSON is text.
The views are public API (docs/memory.md). Migrations run inside the caller's transaction, so a file is either
at one version or at the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from netwright.memory import tables, views

if TYPE_CHECKING:
    import sqlite3

    from sqlite_utils import Database

APPLICATION_ID = 0x4E455457
"""`NETW`: marks the file as netwright's, as `PRAGMA application_id`."""

FULL_TEXT: dict[str, tuple[str, ...]] = {
    "candidates": ("title", "hypothesis", "source"),
    "verdicts": ("changed", "words", "lesson"),
    "nodes": ("stage", "failure"),
    "attempts": ("stage", "failure"),
    "trials": ("reason", "last_output"),
    "knowledge": ("title", "text"),
    "lessons": ("claim",),
}
"""What is searched by words; lessons since version 11."""


def _full_text(db: Database) -> None:
    for name, columns in list(FULL_TEXT.items())[:6]:
        db.table(name).enable_fts(columns, tokenize="porter unicode61", create_triggers=True)
    # Texts of a node never change, but its visits and value do, often: do not index it again for those.
    db.execute("DROP TRIGGER nodes_au")


def _migration_1(db: Database) -> None:
    tables.create_tables(db)
    _full_text(db)


MIGRATIONS: tuple[Callable[[Database], None], ...] = (
    _migration_1,
    tables.create_jobs,
    tables.create_openings,
    tables.create_measures,
    tables.create_shares,
    tables.create_portraits,
    tables.create_call_occasions,
    tables.count_prefixes,
    tables.retire_lessons,
    tables.create_reviews,
    tables.create_vectors,
    tables.create_identities,
)
"""Migration n (counted from 1) takes a file from schema version n - 1 to n."""

VERSION = len(MIGRATIONS)


def migrate(conn: sqlite3.Connection, version: int) -> None:
    """Bring the file from `version` to VERSION, inside the transaction that the caller opened."""
    # 190 ms of import, needed once in the life of a file.
    from sqlite_utils import Database

    db = Database(conn, execute_plugins=False, recursive_triggers=False)
    # Views hold nothing: they are made anew from what they are now, whatever they were.
    for name in db.view_names():
        db.view(name).drop()
    for step in MIGRATIONS[version:]:
        step(db)
    for name, sql in views.VIEWS.items():
        db.create_view(name, sql)
    conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    conn.execute(f"PRAGMA user_version = {VERSION}")
