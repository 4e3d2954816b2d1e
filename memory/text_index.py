"""Full-text search over a few texts that are not, or not only, in the memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from netwright.memory.lexical import FUNCTION_WORDS, query_terms

TERMS_MAX = 120
"""Terms used of a query, the first."""


class TextIndex:
    """Rows of texts, found by BM25 over an FTS5 table that is never written to disk.

    `weights` says how much a word counts, by column. What is found depends on the rows and the query alone.
    """

    def __init__(self, weights: Mapping[str, float], rows: Iterable[Sequence[str]]) -> None:
        self._conn = sqlite3.connect(":memory:", check_same_thread=False)
        columns = ", ".join(weights)
        self._conn.execute(f"CREATE VIRTUAL TABLE texts USING fts5({columns}, tokenize = 'porter unicode61')")
        self._conn.executemany(
            f"INSERT INTO texts (rowid, {columns}) VALUES (?{', ?' * len(weights)})",
            [(number, *row) for number, row in enumerate(rows)],
        )
        ranked = f"bm25(texts, {', '.join(map(str, weights.values()))}), {next(iter(weights))}, rowid"
        self._sql = f"SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY {ranked}"

    def search(self, query: str) -> list[int]:
        """Return the numbers of the rows that speak of `query`, best first; equal ones by their first column."""
        terms = [term for term in query_terms(query) if term.strip('"*').lower() not in FUNCTION_WORDS][:TERMS_MAX]
        return [number for (number,) in self._conn.execute(self._sql, (" OR ".join(terms),))] if terms else []
