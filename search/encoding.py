"""Structures as rows of numbers, and how far apart they are, group by group.

Choices: the share of decisions, of those that either design made, on which the two differ. Counts: one minus the
min-max (Jaccard) similarity of the two bags on a logarithmic scale of counts. Numbers: root mean squared difference
of standardised quantities. Each distance is of negative type, so `exp(-distance)` is a kernel for each.
Sources: Schoenberg (1938), Trans. AMS 44:522; Ralaivola et al. (2005), Graph kernels for chemical informatics,
Neural Networks 18:1093 (min-max kernel).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwright.search.standings import Floats
from netwright.types import Structure

# A count of c stands for every level that it reaches (1, 2, 3, 4, 6, 8, 12, ...), so large counts differ less.
_LEVELS = np.array([0.0, 1.5, 2.5, 3.5, 5.5, 7.5, 11.5, 15.5, 23.5, 31.5, 47.5, 63.5, 95.5, 127.5])
_REMEMBERED = 20_000

Ids = NDArray[np.int64]
Rows = NDArray[np.float32]


class _Encoded(NamedTuple):
    """Numbers of one structure's names, with the `values` of its quantities."""

    structure: Structure
    decisions: Ids
    places: Ids
    levels: Ids
    quantities: Ids
    values: Floats


class _Vocabulary:
    """Numbers for names, and columns for those of them that a known design has."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._column: Ids = np.full(256, -1, dtype=np.int64)
        self.columns = 0

    def numbers(self, names: Iterable[object]) -> Ids:
        known = self._numbers
        return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)

    def learn(self, numbers: Ids) -> None:
        """Give a column to each that has none."""
        for number in numbers[self._columns(numbers) < 0]:
            self._column[number] = self.columns
            self.columns += 1

    def _columns(self, numbers: Ids) -> Ids:
        """Return the column of each number, -1 where it has none."""
        missing = int(numbers.max(initial=0)) + 1 - len(self._column)
        if missing > 0:
            grown = np.full(max(missing, len(self._column)), -1, dtype=np.int64)
            self._column = np.concatenate([self._column, grown])
        return self._column[numbers]

    def indicators(self, bags: Sequence[Ids]) -> Rows:
        """Return 1 where a bag has a name, `(len(bags), columns)`; names without a column are left out."""
        table = np.zeros((len(bags), self.columns), dtype=np.float32)
        row, column = self._places(bags)
        table[row[column >= 0], column[column >= 0]] = 1.0
        return table

    def quantities(self, bags: Sequence[Ids], values: Sequence[Floats]) -> Floats:
        """Return the values by name, `(len(bags), columns)`, NaN where a bag lacks one."""
        table = np.full((len(bags), self.columns), np.nan)
        row, column = self._places(bags)
        table[row[column >= 0], column[column >= 0]] = np.concatenate([np.empty(0), *values])[column >= 0]
        return table

    def _places(self, bags: Sequence[Ids]) -> tuple[Ids, Ids]:
        row = np.repeat(np.arange(len(bags)), np.array([len(bag) for bag in bags], dtype=np.int64))
        return row, self._columns(np.concatenate([np.empty(0, dtype=np.int64), *bags]))


class Bag(NamedTuple):
    """Encoded structures: indicator rows `(n, columns)`, sizes `(n,)`, quantities `(n, quantities)`, NaN if missing."""

    decisions: Rows
    places: Rows
    levels: Rows
    made: Floats
    size: Floats
    numbers: Floats

    def joined(self, other: Bag) -> Bag:
        """Return both one after the other; `other`, encoded later, may have more columns."""
        return Bag(
            decisions=_stacked(self.decisions, other.decisions, 0.0),
            places=_stacked(self.places, other.places, 0.0),
            levels=_stacked(self.levels, other.levels, 0.0),
            made=np.concatenate([self.made, other.made]),
            size=np.concatenate([self.size, other.size]),
            numbers=_stacked(self.numbers, other.numbers, np.nan),
        )


def _stacked(upper: NDArray[Any], lower: NDArray[Any], missing: float) -> NDArray[Any]:
    columns = lower.shape[1] - upper.shape[1]
    return np.concatenate([np.pad(upper, ((0, 0), (0, columns)), constant_values=missing), lower])


class Encoder:
    """Turns structures into rows that can be compared. Its columns grow with the designs it has learned."""

    def __init__(self) -> None:
        self._decisions, self._places, self._levels = _Vocabulary(), _Vocabulary(), _Vocabulary()
        self._quantities, self._counted = _Vocabulary(), _Vocabulary()
        self._seen: dict[int, _Encoded] = {}

    def learn(self, structure: Structure) -> None:
        """Make room for what this structure has."""
        encoded = self._encode(structure)
        self._decisions.learn(encoded.decisions)
        self._places.learn(encoded.places)
        self._levels.learn(encoded.levels)
        self._quantities.learn(encoded.quantities)

    def rows(self, structures: Sequence[Structure]) -> Bag:
        """Encode structures."""
        encoded = [self._encode(structure) for structure in structures]
        return Bag(
            decisions=self._decisions.indicators([one.decisions for one in encoded]),
            places=self._places.indicators([one.places for one in encoded]),
            levels=self._levels.indicators([one.levels for one in encoded]),
            made=np.array([len(one.decisions) for one in encoded], dtype=float),
            size=np.array([len(one.levels) for one in encoded], dtype=float),
            numbers=self._quantities.quantities([one.quantities for one in encoded], [one.values for one in encoded]),
        )

    def _encode(self, structure: Structure) -> _Encoded:
        known = self._seen.get(id(structure))
        if known is None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            # The entry keeps the structure, so that its id is not given to another while the entry lives.
            known = self._seen[id(structure)] = self._tokens(structure)
        return known

    def _tokens(self, structure: Structure) -> _Encoded:
        numbers = {name: value for name, value in structure.numbers.items() if np.isfinite(value)}
        reached = np.searchsorted(_LEVELS, np.array(list(structure.counts.values())))
        first = np.repeat(len(_LEVELS) * self._counted.numbers(structure.counts), reached)
        # 0, 1, ..., reached - 1 for each count.
        level = np.arange(len(first)) - np.repeat(np.cumsum(reached) - reached, reached)
        return _Encoded(
            structure=structure,
            decisions=self._decisions.numbers(structure.choices.items()),
            places=self._places.numbers(structure.choices),
            levels=first + level,
            quantities=self._quantities.numbers(numbers),
            values=np.array(list(numbers.values()), dtype=float),
        )


class Scale(NamedTuple):
    """Centre and spread of each quantity among known designs, `(quantities,)`."""

    centre: Floats
    spread: Floats


def scale_of(numbers: Floats) -> Scale:
    """Return the scale of quantities `(n, quantities)`; spread 0 marks one that never varies."""
    known = np.isfinite(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, numbers, 0.0).sum(axis=0) / count
    deviation = np.where(known, numbers - centre, 0.0)
    return Scale(centre, np.sqrt((deviation**2).sum(axis=0) / count))


def distances(left: Bag, right: Bag, scale: Scale) -> Floats:
    """Return the distances of two bags by group, `(3, n, m)`; two designs without a group do not differ in it."""
    same = (left.decisions @ right.decisions.T).astype(float)
    both = (left.places @ right.places.T).astype(float)
    either = left.made[:, None] + right.made[None, :] - both
    shared = (left.levels @ right.levels.T).astype(float)
    total = left.size[:, None] + right.size[None, :] - shared
    return np.stack([_differing(same, either), _differing(shared, total), _apart(left, right, scale)])


def _differing(same: Floats, total: Floats) -> Floats:
    return np.asarray(1.0 - np.where(total > 0.0, same / np.maximum(total, 1.0), 1.0))


def _apart(left: Bag, right: Bag, scale: Scale) -> Floats:
    """Root mean squared standardised difference; a quantity that one design lacks is average, and a difference."""
    # A quantity that came after the scale was taken waits for the next.
    used = np.flatnonzero(scale.spread > 0.0)
    if len(used) == 0:
        return np.zeros((len(left.size), len(right.size)))
    a, b = (_standard(bag.numbers, scale, used) for bag in (left, right))
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2.0 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0.0) / len(used)))


def _standard(numbers: Floats, scale: Scale, used: Ids) -> Floats:
    """Standardised quantities beside indicators of the missing ones, `(n, 2 * used)`."""
    z = (numbers[:, used] - scale.centre[used]) / scale.spread[used]
    missing = ~np.isfinite(z)
    return np.concatenate([np.where(missing, 0.0, z), missing.astype(float)], axis=1)
