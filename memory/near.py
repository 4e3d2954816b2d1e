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

COMPARED = 64
"""Designs whose structures are compared in full: those with the nearest sketches."""

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
    shelf = memory.shelf(lexical.NAME)
    near = shelf.nearest(lexical.word_vector(dict(words)), CHECKED, allowed)
    asked = _spread(words)
    found = []
    for row in _rows(memory, [each.key for each in near]).values():
        theirs = said(row, _structure(row))
        cosine = _cosine(asked, _spread(theirs))
        if cosine >= LEAST_COSINE:
            found.append((-cosine, row["key"], Neighbour(row, f"its words are like it: {_shared(words, theirs)}")))
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
    common = Counter(name for other in structures.values() for name in other.counts)
    found = []
    for key in sorted((key for key in apart if apart[key] < 1.0), key=lambda key: (apart[key], key))[:HITS]:
        both = [name for name in structures[key].counts if name in structure.counts and name.isidentifier()]
        names = ", ".join(sorted(both, key=lambda name: (common[name], name))[:NAMED])
        found.append(Neighbour(rows[key], f"made alike (distance {apart[key]:.2f}): both have {names or 'little'}"))
    return found


def _rows(memory: Memory, keys: Sequence[int]) -> dict[int, sqlite3.Row]:
    """What there is under these keys, in their order."""
    found = {row["key"]: row for row in memory.connection.rows(_ROWS, (json.dumps(list(keys)),))}
    return {key: found[key] for key in keys}


def _structure(row: sqlite3.Row) -> Structure:
    return Structure.model_validate_json(row["structure"]) if row["structure"] else Structure()


def _spread(words: Mapping[str, float]) -> dict[str, float]:
    """Weighted words as weighted features."""
    found: dict[str, float] = defaultdict(float)
    for word, weight in words.items():
        for feature, part in lexical.features(word):
            found[feature] += weight * part
    return found


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    product = sum(weight * other[name] for name, weight in one.items() if name in other)
    return product / (_length(one.values()) * _length(other.values())) if product else 0.0


def _length(weights: Iterable[float]) -> float:
    return math.sqrt(sum(weight * weight for weight in weights))


def _shared(words: Mapping[str, float], theirs: Mapping[str, float]) -> str:
    """Their words that are most like one of the query's."""
    asked = [frozenset(name for name, _ in lexical.features(word)) for word in words]

    def likeness(word: str) -> float:
        own = frozenset(name for name, _ in lexical.features(word))
        return max(len(own & each) / len(own | each) for each in asked)

    liked = {word: likeness(word) for word in theirs}
    best = sorted((word for word in liked if liked[word] > 0.2), key=lambda word: (-liked[word], word))
    return ", ".join(best[:NAMED])
