"""Words as the memory searches them: terms of a query, and a vector of fixed length for a text and a structure.

The vector needs no model: every word, every run of four letters of it and every count of a structure has a place and a
sign by its hash. Equal inputs have equal vectors, on any machine.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from netwright.types import Structure

NAME = "words and structure 1"
"""Changes with what a text's vector is: vectors of another name do not compare."""

WORD_PLACES, PART_PLACES = 288, 96
DIMENSIONS = WORD_PLACES + PART_PLACES
GRAM = 4
GRAMS_WEIGHT = 0.8
"""What the runs of letters of a word count in all, beside the word itself: they find other forms of it."""

WORD_SQUARED = 1.0 + GRAMS_WEIGHT**2
"""The squared length of a word's features."""

FUNCTION_WORDS = frozenset(
    """a about after all also although an and any are as at be because been before being both but by can cannot could
    did do does each else even every few for from further had has have how if in instead into is it its just less like
    many may might more most much must need needs neither no none nor not of off on once one only onto or other our out
    over own per rather same several shall should since so some still such than that the their them then there these
    they this those though through thus to too two under unless until up upon very was we were what when where whether
    which while who whose why will with within without would yet you your""".split()
)
"""What a query holds beside what it is about. A few texts are too few to tell by counting that these say nothing."""

Vector = NDArray[np.float32]
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
Features = tuple[tuple[str, float], ...]


def query_terms(query: str) -> list[str]:
    """The query's words and quoted phrases as FTS5 strings, each once: quoted, so that nothing in them is syntax."""
    parts = re.findall(r'"([^"]*)"|(\w+)(\*?)', query)
    terms = []
    for phrase, word, star in parts:
        words = re.findall(r"\w+", phrase or word)
        # A term of underscores alone holds nothing that the tokenizer keeps.
        if any(letter.isalnum() for each in words for letter in each):
            terms.append(f'"{" ".join(words)}"{star}')
    return list(dict.fromkeys(terms))


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, parts of identifiers each for itself, without those that say nothing."""
    found: list[str] = []
    for word in _WORD.findall(text):
        found += [word] if word.islower() else _HUMP.sub(" ", word).lower().split()
    return [word for word in found if word not in FUNCTION_WORDS]


@lru_cache(maxsize=1 << 16)
def features(word: str) -> Features:
    """A word and the runs of letters in it, each with what it counts."""
    framed = f"<{word}>"
    grams = {framed[start : start + GRAM] for start in range(len(framed) - GRAM + 1)}
    return ((word, 1.0), *((gram, GRAMS_WEIGHT / math.sqrt(len(grams))) for gram in sorted(grams)))


def bag(texts: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The words of weighted texts, each with what it counts: a word that is repeated counts with the logarithm."""
    counts = Counter[str]()
    for text, weight in texts:
        for word in words_of(text):
            counts[word] += weight  # type: ignore[assignment]
    return {word: math.log1p(count) for word, count in counts.items()}


def word_vector(words: dict[str, float]) -> Vector:
    """The unit vector of weighted words, its part for structures empty; zero where there are none.

    Source: Weinberger et al. 2009, Feature Hashing for Large Scale Multitask Learning, equation 2.
    """
    found = [0.0] * DIMENSIONS
    for word, weight in words.items():
        for place, part in _places_of(word):
            found[place] += part * weight
    return unit(np.array(found, np.float32))


def part_vector(structure: Structure) -> Vector:
    """The unit vector of what a design is made of, its part for words empty."""
    weights = {name: math.log1p(count) for name, count in structure.counts.items()}
    weights |= {f"{place}={value}": 1.0 for place, value in structure.choices.items()}
    found = [0.0] * DIMENSIONS
    for name, weight in weights.items():
        place, sign = _place(name, PART_PLACES)
        found[WORD_PLACES + place] += sign * weight
    return unit(np.array(found, np.float32))


@lru_cache(maxsize=1 << 16)
def _places_of(word: str) -> tuple[tuple[int, float], ...]:
    placed = [(*_place(name, WORD_PLACES), weight) for name, weight in features(word)]
    return tuple((place, sign * weight) for place, sign, weight in placed)


def _place(name: str, places: int) -> tuple[int, float]:
    """Where a name stands, and its sign. A checksum is spread by Fibonacci hashing (Knuth 1973, section 6.4)."""
    spread = crc32(name.encode("utf-8", "replace")) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
    return (spread >> 40) % places, 1.0 if spread >> 39 & 1 else -1.0


def unit(vector: Vector) -> Vector:
    """The vector at length 1; zero stays zero."""
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector
