"""Results of which there may be several, one of which counts: trials and gate reports of two memories made one.

Of the rows with equal keys those with `superseded` 0 count. Rows are known again by what they say, not by their number.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

Said = Hashable


class Standing(NamedTuple):
    """The results under one key: the one that counts, if any, and those that were put aside, oldest first."""

    counts: Said | None
    aside: Sequence[Said]


class Settled(NamedTuple):
    """What is to be done here: which of their results are new, and whether theirs counts from now on."""

    added: Sequence[Said]
    gives_way: bool


def settle(ours: Standing, theirs: Standing) -> Settled:
    """Ours counts, unless they knew it too and had put it aside for one that is not known here."""
    known = {ours.counts, *ours.aside}
    added = [each for each in (*theirs.aside, theirs.counts) if each is not None and each not in known]
    known_to_them = ours.counts is not None and ours.counts in theirs.aside
    return Settled(added, known_to_them and theirs.counts in added)


@dataclass(frozen=True)
class Ranked:
    """A table of such results: `key` has one that counts, which `said` tells from others; `mapped` is a column here.

    Several rows of a table may be one result (the reports of one check).
    """

    table: str
    key: tuple[str, ...]
    said: tuple[str, ...]
    mapped: Callable[[str], str]

    def unite(self, conn: sqlite3.Connection, insert: Callable[[int, int], None]) -> int:
        """Settle all keys of `theirs` under which `main` has results, and others; return how many were added.

        `insert` copies the row of theirs with an id, as superseded so many times.
        """
        added = 0
        for key in conn.execute(self._differing()).fetchall():
            ours, theirs = self._results(conn, "main", key), self._results(conn, "theirs", key)
            settled = settle(_standing(ours), _standing(theirs))
            free = max(ours) + 1
            if settled.gives_way:
                self._put_aside(conn, key, free)
                free += 1
            rows = {said: ids for said, ids in theirs.values()}
            for said in settled.added:
                level = 0 if settled.gives_way and said == theirs[0][0] else free
                free += level == free
                for row in rows[said]:
                    insert(row, level)
            added += len(settled.added)
        return added

    def _match(self, columns: Iterable[str]) -> str:
        return " AND ".join(f"m.{column} IS {self.mapped(column)}" for column in columns)

    def _differing(self) -> str:
        """Keys, as they are here, that both memories have, of which theirs says something that ours does not."""
        keys = ", ".join(f"{self.mapped(column)} AS {column}" for column in self.key)
        return (
            f"SELECT DISTINCT {keys} FROM theirs.{self.table} o "
            f"WHERE EXISTS (SELECT 1 FROM main.{self.table} m WHERE {self._match(self.key)}) "
            f"AND NOT EXISTS (SELECT 1 FROM main.{self.table} m WHERE {self._match((*self.key, *self.said))})"
        )

    def _results(
        self, conn: sqlite3.Connection, schema: str, key: Sequence[Any]
    ) -> Mapping[int, tuple[Said, list[int]]]:
        """What is said under a key, with the ids of its rows, by `superseded`."""
        mapped: Callable[[str], str] = self.mapped if schema == "theirs" else "o.{}".format
        where = " AND ".join(f"{mapped(column)} IS ?" for column in self.key)
        said = ", ".join(f"o.{column}" for column in self.said)
        sql = (
            f"SELECT o.superseded, o.id, {said} FROM {schema}.{self.table} o WHERE {where} ORDER BY o.superseded, o.id"
        )
        groups = itertools.groupby(conn.execute(sql, tuple(key)).fetchall(), key=lambda row: row["superseded"])
        listed = ((level, list(rows)) for level, rows in groups)
        return {
            level: (frozenset(tuple(row)[2:] for row in rows), [row["id"] for row in rows]) for level, rows in listed
        }

    def _put_aside(self, conn: sqlite3.Connection, key: Sequence[Any], level: int) -> None:
        where = " AND ".join(f"{column} IS ?" for column in self.key)
        conn.execute(
            f"UPDATE main.{self.table} SET superseded = ? WHERE {where} AND superseded = 0", (level, *tuple(key))
        )


def _standing(results: Mapping[int, tuple[Said, list[int]]]) -> Standing:
    counts = results[0][0] if 0 in results else None
    return Standing(counts, [said for level, (said, _) in results.items() if level])
