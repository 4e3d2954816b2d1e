"""Vectors of what candidates and outside knowledge say, one by each model that makes some, and the nearest of them.

Those of the built-in model are made in the transaction that makes their experiment. Those of an endpoint's are made on
demand. Which are missing, or older than what is said by now, is in the file: triggers keep it, so no crash loses it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from netwright.errors import ConfigError
from netwright.memory import lexical
from netwright.memory.connection import Connection, now
from netwright.memory.lexical import Vector
from netwright.types import Structure

AT_ONCE = 64
"""Vectors that are made between two commits, or asked of an endpoint in one request."""

TEXT_CHARACTERS = 4_000
_PENDING = """
SELECT v.id, v.stamp, v.candidate, v.knowledge_id, coalesce(c.title, k.title) AS title,
       coalesce(c.hypothesis, k.text) AS text,
       (SELECT changed || ' ' || words || ' ' || coalesce(lesson, '') FROM verdicts
        WHERE candidate_id = c.id ORDER BY id DESC LIMIT 1) AS verdict,
       (SELECT body FROM structures WHERE candidate_id = c.id ORDER BY id DESC LIMIT 1) AS structure
FROM vectors v
LEFT JOIN candidates c ON c.number = v.candidate
LEFT JOIN knowledge k ON k.id = v.knowledge_id
WHERE v.embedder_id = ? AND v.stamp <= 0 ORDER BY v.id LIMIT ?
"""


class Embedder(Protocol):
    """Makes vectors of texts; equal `name`s mean vectors that compare."""

    @property
    def name(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Vector:
        """Return the vectors of the texts, shape (texts, dimensions)."""
        ...


def know(conn: sqlite3.Connection, name: str, dimensions: int | None = None) -> int:
    """Make sure that a model is known, so that all there is gets a place for its vector; return its id.

    Inside the caller's transaction.
    """
    conn.execute(
        "INSERT INTO embedders (name, dimensions, created_at) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
        (name, dimensions, now()),
    )
    return int(conn.execute("SELECT id FROM embedders WHERE name = ?", (name,)).fetchone()[0])


def fill_own(conn: sqlite3.Connection, most: int = AT_ONCE) -> int:
    """Make at most so many missing vectors of the built-in model, inside the caller's transaction; how many it made."""
    embedder = know(conn, lexical.NAME, lexical.DIMENSIONS)
    rows = conn.execute(_PENDING, (embedder, most)).fetchall()
    _store(conn, embedder, rows, [own_vector(row) for row in rows])
    return len(rows)


def own_vector(row: sqlite3.Row) -> Vector:
    """The built-in vector of what is said of a candidate, or of a piece of knowledge."""
    words = lexical.word_vector(said(row))
    return words + lexical.part_vector(Structure.model_validate_json(row["structure"])) if row["structure"] else words


def said(row: sqlite3.Row) -> dict[str, float]:
    """The words of it, each with what it counts."""
    return lexical.bag([(row["title"], 2.0), (row["text"], 1.0), (row["verdict"] or "", 1.0)])


def fill_all_own(connection: Connection) -> int:
    """Make all missing vectors of the built-in model, in steps that are kept each; how many it made."""
    made, step = 0, AT_ONCE
    while step == AT_ONCE:
        with connection.write() as conn:
            step = fill_own(conn)
        made += step
    return made


def fill(connection: Connection, embedder: Embedder, on_filled: Callable[[int], None] | None = None) -> int:
    """Have `embedder` make all vectors that it has not made yet, in steps that are kept each; how many it made.

    Raises:
        ConfigError: they have another length than those that this model made earlier.
    """
    with connection.write() as conn:
        own = know(conn, embedder.name)
    made = 0
    while rows := connection.rows(_PENDING, (own, AT_ONCE)):
        vectors = embedder.embed([_text(row) for row in rows])
        with connection.write() as conn:
            _agree(conn, own, vectors.shape[1])
            _store(conn, own, rows, [lexical.unit(vector) for vector in vectors])
        made += len(rows)
        if on_filled is not None:
            on_filled(made)
    return made


def _agree(conn: sqlite3.Connection, embedder: int, dimensions: int) -> None:
    conn.execute("UPDATE embedders SET dimensions = coalesce(dimensions, ?) WHERE id = ?", (dimensions, embedder))
    name, known = conn.execute("SELECT name, dimensions FROM embedders WHERE id = ?", (embedder,)).fetchone()
    if known != dimensions:
        raise ConfigError(_other_length(name, dimensions, known))


def _other_length(name: str, dimensions: int, known: int) -> str:
    return (
        f"{name!r} makes vectors of {dimensions} numbers, and made some of {known} earlier: they do not compare; "
        "serve the other model under a name of its own"
    )


def _text(row: sqlite3.Row) -> str:
    return f"{row['title']}\n{row['text']}\n{row['verdict'] or ''}"[:TEXT_CHARACTERS]


def _store(conn: sqlite3.Connection, embedder: int, rows: Sequence[sqlite3.Row], vectors: Iterable[Vector]) -> None:
    """Keep vectors; one of which more was said meanwhile has another stamp by now, and stays to be made."""
    stamp = conn.execute("SELECT max(0, max(stamp)) + 1 FROM vectors WHERE embedder_id = ?", (embedder,)).fetchone()[0]
    conn.executemany(
        "UPDATE vectors SET vector = ?, stamp = ? WHERE id = ? AND stamp = ?",
        [(packed(vector), stamp, row["id"], row["stamp"]) for row, vector in zip(rows, vectors, strict=True)],
    )


def packed(vector: Vector) -> bytes:
    """A vector as it lies in the file: float16, little end first."""
    return vector.astype("<f2").tobytes()


@dataclass(frozen=True)
class Near:
    """One found: a candidate's number, or minus the id of a piece of knowledge, and the cosine to what was asked."""

    key: int
    cosine: float


class Shelf:
    """A model's vectors in this process, shape (rows, dimensions), brought up to date where the file has changed.

    `missing` counts what an endpoint's model has no vector of yet, or an older one than what is said by now.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self._name = connection, name
        self._lock = threading.Lock()
        self._place: dict[int, int] = {}
        self._keys = np.empty(0, np.int64)
        self._rows: Vector = np.empty((0, 0), np.float32)
        self._moment: tuple[int, int] | None = None
        self._stamp = 0
        self.missing = 0

    @property
    def size(self) -> int:
        return len(self._place)

    def refresh(self) -> None:
        """Take in what is new in the file; what its own model has not made yet is made here, and not kept."""
        with self._lock:
            moment = self._connection.moment()
            if moment == self._moment:
                return
            row = self._connection.row("SELECT id FROM embedders WHERE name = ?", (self._name,))
            self._load(row["id"] if row is not None else 0)
            self._moment = moment

    def nearest(self, query: Vector, most: int, allowed: NDArray[np.bool_] | None = None) -> list[Near]:
        """The vectors with the largest cosine to `query`, nearest first; `allowed` says so by candidates' numbers.

        Raises:
            ConfigError: they have another length than `query`.
        """
        with self._lock:
            keys, rows = self._keys[: self.size], self._rows[: self.size]
            if not len(keys):
                return []
            if rows.shape[1] != len(query):
                raise ConfigError(_other_length(self._name, len(query), rows.shape[1]))
            cosines = rows @ query
        if allowed is not None:
            cosines = np.where((keys > 0) & allowed[np.clip(keys, 0, len(allowed) - 1)], cosines, -np.inf)
        best = np.argpartition(-cosines, most - 1)[:most] if most < len(keys) else np.arange(len(keys))
        order = best[np.lexsort((keys[best], -cosines[best]))]
        return [Near(int(keys[place]), float(cosines[place])) for place in order if cosines[place] > 0]

    def _load(self, embedder: int) -> None:
        sql = "SELECT candidate, knowledge_id, vector, stamp FROM vectors WHERE embedder_id = ? AND stamp > ?"
        for rows in self._connection.batches(sql, (embedder, self._stamp), 10_000):
            self._put([_key(row) for row in rows], _unpacked([row["vector"] for row in rows]))
            self._stamp = max(self._stamp, *(row["stamp"] for row in rows))
        if self._name != lexical.NAME:
            sql = "SELECT (SELECT count(*) FROM candidates) + (SELECT count(*) FROM knowledge) - count(*) FROM vectors "
            self.missing = self._connection.rows(f"{sql} WHERE embedder_id = ? AND stamp > 0", (embedder,))[0][0]
            return
        for rows in self._connection.batches(_PENDING, (embedder, -1), 1_000):
            self._put([_key(row) for row in rows], np.stack([own_vector(row) for row in rows]))

    def _put(self, keys: Sequence[int], vectors: Vector) -> None:
        """Take in vectors, in the place of earlier ones of the same keys."""
        places = [self._place.setdefault(key, len(self._place)) for key in keys]
        if self.size > len(self._keys):
            room = max(self.size, 2 * len(self._keys))
            grown = np.empty((room, vectors.shape[1]), np.float32)
            if len(self._rows):
                grown[: len(self._rows)] = self._rows
            self._keys, self._rows = np.resize(self._keys, room), grown
        self._keys[places] = keys
        self._rows[places] = vectors


def _key(row: sqlite3.Row) -> int:
    return int(row["candidate"] or -row["knowledge_id"])


def _unpacked(blobs: Sequence[bytes]) -> Vector:
    return np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), -1).astype(np.float32)
