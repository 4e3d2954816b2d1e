"""The archive: the best design of every kind, so that a search does not forget all but one kind.

A kind is a cell: on each axis a label, such as the family, or one of a few intervals of a number, such as the bytes of
state. The intervals hold equally many designs each and move with them, so that no range has to be known beforehand.

    family      state bytes           elite
    attention   above 4096            7
    recurrence  at most 512           12
    recurrence  512 to 4096           3

Sources: Mouret & Clune (2015), Illuminating search spaces by mapping elites, arXiv:1504.04909; boundaries that slide
with the designs, Fontaine et al. (2019), Mapping Hearthstone deck spaces through MAP-Elites with sliding boundaries,
GECCO; crossing elites of different cells, Vassiliades & Mouret (2018), Discovering the elite hypervolume by leveraging
interspecies correlation, GECCO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from netwright.search.standings import Floats

Descriptors = Mapping[str, str | float]
"""What a design is like, by axis: a label or a finite number. Any may be missing."""
Cell = tuple[str | int | None, ...]
"""Place of a cell by axis: the label, the number of the interval from 0 up, or None where it is not known."""

_NEARNESS = 0.1


class Archive:
    """Designs by cell. Their worth is given anew with each question, as it changes while a search goes on."""

    def __init__(self, axes: Sequence[str], *, intervals: int = 3) -> None:
        self.axes = tuple(axes)
        self._intervals = intervals
        self._known: dict[int, Descriptors] = {}
        self._cells: dict[int, Cell] = {}

    def put(self, node: int, descriptors: Descriptors) -> None:
        """Add a design, or say anew what it is like."""
        self._known[node] = descriptors
        self._cells = {}

    def boundaries(self, axis: str) -> Floats:
        """Return the inner boundaries of an axis' intervals, rising; none where all its numbers are equal."""
        numbers = [value for each in self._known.values() if not isinstance(value := each.get(axis, ""), str)]
        if not numbers:
            return np.empty(0)
        inner = np.linspace(0.0, 1.0, self._intervals + 1)[1:-1]
        found = np.unique(np.quantile(numbers, inner, method="lower"))
        return found[found < max(numbers)]

    def cells(self) -> Mapping[int, Cell]:
        """Return the cell of every design."""
        if not self._cells:
            boundaries = {axis: self.boundaries(axis) for axis in self.axes}
            self._cells = {
                node: tuple(_place(each.get(axis), boundaries[axis]) for axis in self.axes)
                for node, each in self._known.items()
            }
        return self._cells

    def elites(self, worth: Mapping[int, float]) -> dict[Cell, int]:
        """Return the best design of every cell, the first of equals; designs without a worth are passed over."""
        best: dict[Cell, int] = {}
        for node, cell in self.cells().items():
            if node in worth and (cell not in best or worth[node] > worth[best[cell]]):
                best[cell] = node
        return best

    def partners(self, node: int, worth: Mapping[int, float]) -> dict[int, float]:
        """Return how much each elite is wanted beside `node`, which need not be known: `worth ** 2 * (0.1 + distance)`.

        Worth is not negative.
        """
        elites = [elite for elite in self.elites(worth).values() if elite != node]
        return {elite: worth[elite] ** 2 * (_NEARNESS + self.distance(node, elite)) for elite in elites}

    def distance(self, one: int, other: int) -> float:
        """Return how far apart the kinds of two designs are, in [0, 1].

        The mean over axes of the share of the axis between their cells: 1 for different labels, 1/2 where one is not
        known.
        """
        unknown: Cell = (None,) * len(self.axes)
        places = zip(self.cells().get(one, unknown), self.cells().get(other, unknown), strict=True)
        return float(np.mean([self._apart(a, b) for a, b in places]))

    def _apart(self, one: str | int | None, other: str | int | None) -> float:
        if one == other:
            return 0.0
        if one is None or other is None:
            return 0.5
        if isinstance(one, str) or isinstance(other, str):
            return 1.0
        return abs(one - other) / (self._intervals - 1)


def _place(value: str | float | None, boundaries: Floats) -> str | int | None:
    if value is None or isinstance(value, str):
        return value
    return int(np.searchsorted(boundaries, value, side="left"))
