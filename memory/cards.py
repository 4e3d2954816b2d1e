"""The cards of the knowledge base: those of the user's own in the memory, and search over all of them by symptom.

Shipped cards are read from the package. The user's lie in the table `knowledge`, of kind `card`, whole as they were
imported. An import adds rows and changes none, so "the cards up to this row" means the same for ever.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from netwright.memory.connection import now
from netwright.memory.rows import insert
from netwright.memory.store import Memory
from netwright.memory.text_index import TextIndex
from netwright.prompts.cards import Card, CardFile, parsed
from netwright.types import Scope

KIND = "card"
_WEIGHTS = {"title": 3.0, "topic": 2.0, "symptoms": 5.0, "helps": 1.0, "mechanism": 1.0}
"""How much a word counts by where it stands. What a card fails at is not what it answers, and is left out."""

Outcome = Literal["new", "changed", "known"]


class Imported(NamedTuple):
    """What an import did with a card."""

    title: str
    outcome: Outcome


def put_cards(memory: Memory, cards: Sequence[CardFile]) -> list[Imported]:
    """Keep the user's cards, all or none; of several with one title the latest counts."""
    with memory.connection.write() as conn:
        return [Imported(file.card.title, _put(conn, file)) for file in cards]


def _put(conn: sqlite3.Connection, file: CardFile) -> Outcome:
    sql = "SELECT text FROM knowledge WHERE kind = ? AND title = ? ORDER BY id DESC"
    earlier = [row["text"] for row in conn.execute(sql, (KIND, file.card.title))]
    if earlier and earlier[0] == file.text:
        return "known"
    # A table of outside knowledge has one row per kind, title and source.
    source = f"{file.name}, version {len(earlier) + 1}" if earlier else file.name
    row = {"kind": KIND, "title": file.card.title, "text": file.text, "source": source, "created_at": now()}
    insert(conn, "knowledge", row)
    return "changed" if earlier else "new"


def latest_card(memory: Memory) -> int:
    """Return the number of the last card that was imported, 0 where there is none."""
    row = memory.connection.row("SELECT max(id) FROM knowledge WHERE kind = ?", (KIND,))
    return int(row[0] or 0) if row is not None else 0


def own_cards(memory: Memory, up_to: int | None = None) -> list[Card]:
    """Return the user's cards, the latest of each title; with `up_to`, as they stood when that card was the last.

    Raises:
        ConfigError: what was put there by other means is no card.
    """
    rows = memory.connection.rows(
        "SELECT title, text, max(id) FROM knowledge WHERE kind = ?1 AND id <= coalesce(?2, id) "
        "GROUP BY title ORDER BY id",
        (KIND, up_to),
    )
    return [parsed(row["text"], f"card {row['title']!r} of {memory.path}") for row in rows]


class CardIndex:
    """Cards, searchable by what they answer.

    Of cards with one title the last counts, so that the user's take the place of those that ship.
    """

    def __init__(self, cards: Iterable[Card]) -> None:
        self.cards = tuple({card.title: card for card in cards}.values())
        self._index = TextIndex(_WEIGHTS, map(_searched, self.cards))

    def search(self, query: str, *, limit: int = 3, scope: Scope | None = None) -> list[Card]:
        """Return the cards that answer `query` best, for candidates of `scope` if given. Equal ranks: by title."""
        found = (self.cards[number] for number in self._index.search(query))
        return [card for card in found if scope is None or scope in card.scopes][:limit]


def _searched(card: Card) -> tuple[str, ...]:
    texts = card.model_dump(mode="python") | {"symptoms": "\n".join(card.symptoms)}
    return tuple(str(texts[column]) for column in _WEIGHTS)
