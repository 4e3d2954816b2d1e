"""What the value model learns: each design's worth among those trained so far.

Scores are measured from their median in units of `90% quantile - median`, so that nats, bits or per cent give the same
worth. They have a long low tail, designs that do not learn at all: below minus one unit worth falls with the logarithm,
so that the top is resolved and yet the bad is told from the hopeless.
Values of two rungs are never compared: see `standings.exchange_places`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from netwright.search.standings import Floats, exchange_places
from netwright.search.tree_state import TreeState


class Worths(NamedTuple):
    """Worth and its standard error by node."""

    value: dict[int, float]
    error: dict[int, float]


def worths(state: TreeState) -> Worths:
    """Return the worth of every node with a result."""
    value: dict[int, float] = {}
    error: dict[int, float] = {}
    for table in state.tables:
        if not len(table):
            continue
        # While results do not differ, the first one above all, nothing says how large an error is among them.
        differ = table.values.min() < table.values.max()
        spreads = table.errors / measure(table.values)[1] if differ else np.zeros(len(table))
        for node, worth, spread in zip(table.nodes, relative(table.values).tolist(), spreads.tolist(), strict=True):
            value.setdefault(node, worth)
            error.setdefault(node, spread)
    for rung in range(1, state.rungs):
        exchange_places(value, state.tables[rung], state.failed[rung])
    return Worths(value, error)


def relative(values: Floats) -> Floats:
    """Return the worth of values `(n,)` among themselves."""
    centre, unit = measure(values)
    units = (values - centre) / unit
    return np.asarray(np.where(units >= -1.0, units, -1.0 - np.log(np.maximum(-units, 1.0))))


def measure(values: Floats) -> tuple[float, float]:
    """Return the median of values `(n,)` and how far the 90% quantile lies above it, or 1 where it does not."""
    centre, high = np.quantile(values, (0.5, 0.9))
    unit = float(high - centre)
    return float(centre), unit if unit > 0.0 else 1.0
