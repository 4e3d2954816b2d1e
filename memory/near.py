"""What is like something: texts by their vectors, designs by what they are made of."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from netwright.distance import distance
from netwright.memory import lexical
from netwright.memory.filters import Mask
from netwright.memory.store import Memory
from netwright.memory.vectors import Embedder, said
from netwright.types import Structure

CHECKED = 30
"""Texts whose words are compared one by one: those with the nearest vectors, in which words share their places."""

LEAST_COSINE = 0.1
"""Texts that are less like the query than so share no more than a few runs of letters with it."""

COMPARED = 48
"""Designs whose structures are compared in full: those with the nearest sketches."""

LEAST_SHARED = 0.4
"""Words are named that share so much with the query, beside the one that shares most."""

HITS = 50
NAMED = 5
"""Words that a reason names at most."""

_ROWS = """
SELECT c.number AS key, c.id AS candidate_id, c.short, c.title, c.origin, NULL AS campaign, NULL AS node,
       c.hypothesis AS text,
       (SELECT changed || ' ' || words || ' ' || coalesce(lesson, '') FROM verdicts
        WHERE candidate_id = c.id ORDER BY id DESC LIMIT 1) AS verdict,
       (SELECT body FROM structures WHERE candidate_id = c.id ORDER BY id DESC LIMIT 1) AS structure
FROM candidates c WHERE c.number IN (SELECT value FROM json_each(?1))
UNION ALL
SELECT -k.id, NULL, NULL, k.title, k.source, NULL, NULL, k.text, NULL, NULL
FROM knowledge k WHERE k.id IN (SELECT -value FROM json_each(?1))
"""


@dataclass(frozen=True)
class Neighbour:
    """One found: its row, and why."""

    row: sqlite3.Row
    why: str


def alike(memory: Memory, words: Mapping[str, float], allowed: Mask | None) -> list[Neighbour]:
    """What is said in words like these, each of which counts so much; nearest first.

    The nearest vectors are checked by what words and runs of letters their texts really share with the query.
    """
    near = memory.shelf(lexical.NAME).nearest(lexical.word_vector(dict(words)), CHECKED, allowed)
    likeness = _Likeness(words)
    found = []
    for row in _rows(memory, [each.key for each in near]).values():
        theirs = said(row)
        cosine = likeness.cosine(theirs)
        if cosine >= LEAST_COSINE:
            found.append((-cosine, row["key"], Neighbour(row, f"its words are like it: {likeness.named(theirs)}")))
    return [neighbour for _, _, neighbour in sorted(found, key=lambda each: each[:2])]


def meant(memory: Memory, query: str, embedder: Embedder, allowed: Mask | None) -> list[Neighbour]:
    """What means something like `query` to a model, nearest first, as far as it has made vectors."""
    asked = lexical.unit(embedder.embed([query])[0])
    near = memory.shelf(embedder.name).nearest(asked, HITS, allowed)
    rows = _rows(memory, [each.key for each in near])
    return [
        Neighbour(rows[each.key], f"{embedder.name} finds its meaning like it (cosine {each.cosine:.2f})")
        for each in near
    ]


def made_like(memory: Memory, structure: Structure, allowed: Mask | None) -> list[Neighbour]:
    """What is made of the same, by `distance`, nearest first; sketches choose what is compared."""
    near = memory.shelf(lexical.NAME).nearest(lexical.part_vector(structure), COMPARED, allowed)
    rows = _rows(memory, [each.key for each in near])
    structures = {key: _structure(row) for key, row in rows.items() if row["structure"]}
    apart = {key: distance(structure, other) for key, other in structures.items()}
    operations = [name for name in structure.counts if name.isidentifier()]
    common = Counter(name for other in structures.values() for name in operations if name in other.counts)
    found = []
    for key in sorted((key for key in apart if apart[key] < 1.0), key=lambda key: (apart[key], key))[:HITS]:
        both = [name for name in operations if name in structures[key].counts]
        names = ", ".join(sorted(both, key=lambda name: (common[name], name))[:NAMED])
        found.append(Neighbour(rows[key], f"made alike (distance {apart[key]:.2f}): both have {names or 'little'}"))
    return found


def _rows(memory: Memory, keys: Sequence[int]) -> dict[int, sqlite3.Row]:
    """What there is under these keys, in their order."""
    found = {row["key"]: row for row in memory.connection.rows(_ROWS, (json.dumps(list(keys)),))}
    return {key: found[key] for key in keys}


def _structure(row: sqlite3.Row) -> Structure:
    return Structure.model_validate_json(row["structure"]) if row["structure"] else Structure()


class _Likeness:
    """How like a query's words others are."""

    def __init__(self, words: Mapping[str, float]) -> None:
        self._asked: dict[str, float] = defaultdict(float)
        for word, weight in words.items():
            for feature, part in lexical.features(word):
                self._asked[feature] += weight * part
        self._length = math.sqrt(sum(weight * weight for weight in self._asked.values()))
        self._known: dict[str, float] = {}

    def _product(self, word: str) -> float:
        if word not in self._known:
            parts = lexical.features(word)
            self._known[word] = sum(part * self._asked[name] for name, part in parts if name in self._asked)
        return self._known[word]

    def cosine(self, theirs: Mapping[str, float]) -> float:
        """The cosine to a text's words; that some of these share runs of letters counts little, and not here."""
        product = sum(weight * self._product(word) for word, weight in theirs.items())
        length = math.sqrt(sum(weight * weight for weight in theirs.values()) * lexical.WORD_SQUARED)
        return product / (self._length * length) if product else 0.0

    def named(self, theirs: Iterable[str]) -> str:
        """Their words that are most like the query's."""
        liked = sorted((-self._product(word), word) for word in theirs)
        return ", ".join(word for product, word in liked[:NAMED] if product < LEAST_SHARED * liked[0][0])
