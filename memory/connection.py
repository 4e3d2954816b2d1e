"""One connection to one memory file: how it opens, how a write is made whole, what each failure is called."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netwright.errors import DamagedFile, NotFound, SchemaMismatch, StoreError
from netwright.memory import schema

BUSY_MILLISECONDS = 30_000
FILE_NAME = "memory.db"
DAMAGE = ("malformed", "not a database")
"""What SQLite says of a file that is not, or no longer, what it should be."""


def now() -> str:
    """The time as the memory writes it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """The sentence for what SQLite reported about `path`."""
    text = str(error)
    for sign, sentence in (
        ("readonly", "cannot be written: the file or its directory is read-only; make it writable"),
        ("unable to open", "cannot be opened: look at the permissions of the file and of its directory"),
        ("full", "cannot grow: the disk is full; free some space and resume, nothing was lost"),
        ("disk I/O", "cannot be read or written (disk error, or a limit on file sizes): look at the disk"),
        ("locked", f"was locked by another program for {BUSY_MILLISECONDS // 1000} s: close that program"),
        (
            "malformed",
            "is damaged: put a copy in its place, or save what is left with `sqlite3 FILE .recover`",
        ),
        ("not a database", "is not an SQLite database: choose another --home, or move the file away"),
    ):
        if sign in text:
            kind = DamagedFile if sign in DAMAGE else StoreError
            return kind(f"{path} {sentence} ({text})")
    return StoreError(f"{path}: SQLite reports: {text}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about `path` into StoreError."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except OverflowError as error:
        raise StoreError(f"{path} holds integers of 64 bits only, a larger one came: {error}") from error


def connect(path: Path, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    """A bare connection in autocommit mode; `mode` is SQLite's `ro`, `rw` or `rwc`."""
    uri = f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' if immutable else ''}"
    conn = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MILLISECONDS / 1000
    )
    conn.row_factory = sqlite3.Row
    return conn


def open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that cannot write.

    In a directory that cannot be written SQLite has no place for its shared index and refuses a WAL file;
    with no log to read beside it the file is complete, and is opened as one that nobody changes.
    """
    conn = connect(path, "ro")
    try:
        conn.execute("SELECT count(*) FROM sqlite_master")
        return conn
    except sqlite3.OperationalError:
        conn.close()
        log = path.with_name(path.name + "-wal")
        if os.access(path.parent, os.W_OK) or (log.exists() and log.stat().st_size):
            raise
    return connect(path, "ro", immutable=True)


def _version(conn: sqlite3.Connection, path: Path) -> int:
    """The schema version of the file, 0 for an empty one.

    Raises:
        SchemaMismatch: the file is another program's or a newer netwright's.
    """
    mark = conn.execute("PRAGMA application_id").fetchone()[0]
    version: int = conn.execute("PRAGMA user_version").fetchone()[0]
    things = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if mark == schema.APPLICATION_ID and version > schema.VERSION:
        raise SchemaMismatch(
            f"{path} was written by a newer netwright (schema {version}; this one knows {schema.VERSION}): "
            "upgrade netwright, or choose another --home"
        )
    if mark != schema.APPLICATION_ID and (things or mark or version):
        raise SchemaMismatch(f"{path} is a database of another program, not a netwright memory: choose another --home")
    return version


def inspect(path: Path) -> int:
    """The schema version of an existing file, found without changing a byte of it.

    Raises:
        SchemaMismatch: the file is not SQLite, another program's, or a newer netwright's.
        StoreError: it cannot be read.
    """
    if not path.stat().st_size:
        return 0
    try:
        conn = open_to_read(path)
        try:
            return _version(conn, path)
        finally:
            conn.close()
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise SchemaMismatch(
                f"{path} is not an SQLite database: choose another --home, or move the file away"
            ) from error
        raise explain(error, path) from error


class Connection:
    """A connection shared by threads: one statement or one whole write at a time."""

    def __init__(self, path: Path, conn: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._conn = conn
        self._lock = threading.RLock()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or, whatever is raised, nothing.

        Raises:
            StoreError: the file could not be written; nothing of this transaction is in it.
        """
        if self.read_only:
            raise StoreError(f"{self.path} was opened for reading only")
        with self._lock, explained(self.path):
            self._conn.execute("BEGIN IMMEDIATE")
            try:
                yield self._conn
                self._conn.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already.
                if self._conn.in_transaction:
                    self._conn.execute("ROLLBACK")
                raise

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock, explained(self.path):
            return self._conn.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def batches(self, sql: str, parameters: Sequence[Any], size: int) -> Generator[list[sqlite3.Row], None, None]:
        """The rows of a query, so many at a time; others wait until all were taken or the iterator is closed."""
        with self._lock, explained(self.path):
            cursor = self._conn.execute(sql, parameters)
            while rows := cursor.fetchmany(size):
                yield rows

    @contextmanager
    def beside(self, attach: Callable[[sqlite3.Connection], None], schema_name: str) -> Iterator[None]:
        """Have another database attached under that name meanwhile; others wait."""
        with self._lock, explained(self.path):
            attach(self._conn)
            try:
                yield
            finally:
                self._conn.execute(f"DETACH {schema_name}")

    def moment(self) -> tuple[int, int]:
        """Two numbers that change when the file does, by whomever."""
        with self._lock, explained(self.path):
            return self._conn.execute("PRAGMA data_version").fetchone()[0], self._conn.total_changes

    def close(self) -> None:
        """Close the file; SQLite then folds its log into it."""
        with self._lock, explained(self.path):
            self._conn.close()


def open_memory(home: Path, *, create: bool, read_only: bool, evaluation_key: bytes | None) -> Connection:
    """Open HOME/memory.db; see Memory.open for what is raised."""
    path = home / FILE_NAME
    exists = _exists(path)
    if not exists and (read_only or not create):
        raise NotFound(f"there is no memory in {home}: start a campaign with `netwright run`, or name --home")
    version = inspect(path) if exists else 0
    if read_only:
        return _open_read_only(path, version)
    return _open_writable(path, evaluation_key)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise StoreError(f"{path} cannot be looked at: {error.strerror}; choose another --home") from error


def _open_read_only(path: Path, version: int) -> Connection:
    if version == 0:
        raise NotFound(f"{path} is empty: start a campaign with `netwright run`, or name another --home")
    if version < schema.VERSION:
        raise SchemaMismatch(
            f"{path} was written by an older netwright (schema {version}; this one reads {schema.VERSION}): "
            "`netwright memory upgrade` brings it forward, with all that is in it"
        )
    with explained(path):
        return Connection(path, open_to_read(path), read_only=True)


def _open_writable(path: Path, evaluation_key: bytes | None) -> Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be made: {error.strerror}; choose another --home") from error
    if _exists(path) and not os.access(path, os.W_OK):
        raise explain(sqlite3.OperationalError("attempt to write a readonly database"), path)
    with explained(path):
        conn = connect(path, "rwc")
    try:
        with explained(path):
            _configure(conn)
        connection = Connection(path, conn, read_only=False)
        _bring_forward(connection, evaluation_key)
    except BaseException:
        conn.close()
        raise
    return connection


def _configure(conn: sqlite3.Connection) -> None:
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = NORMAL")
    conn.execute("PRAGMA foreign_keys = ON")


def _bring_forward(connection: Connection, evaluation_key: bytes | None) -> None:
    # The version is read again under the write lock: another process may just have made the file.
    with connection.write() as conn:
        version = _version(conn, connection.path)
        if version < schema.VERSION:
            schema.migrate(conn, version)
        if version == 0:
            key = evaluation_key if evaluation_key is not None else secrets.token_bytes(32)
            conn.execute("INSERT INTO meta VALUES ('evaluation_key', ?), ('created_at', ?)", (key.hex(), now()))
