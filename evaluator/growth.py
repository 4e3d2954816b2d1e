"""How a candidate's costs grow with the length of its rows, from measures at a few lengths. Pure.

exponent    the slope of log(cost) over log(length), by least squares: 1 is linear, 2 quadratic
rise        the same of that part alone of the cost per token that rises, from its steps between doubled lengths:
            for a n + b n^2 it is 2 at any length, where the exponent is still on its way there
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netwright.measures import Inference, Measures

QUADRATIC, SUB_QUADRATIC = "quadratic", "sub-quadratic"
QUADRATIC_FROM = 1.75
"""An exponent from which on growth is called quadratic: 2 with a tolerance of 0.25."""
RISE_MIN = 0.1
"""Costs per token that rise by no more than this share, from the shortest length to the longest, do not rise."""

Curve = Sequence[tuple[int, float]]
"""(length, cost of a row), ordered by length."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Exponents over the measured lengths, None where there are fewer than two; that of the state over the last two.

    `word` is "quadratic", "sub-quadratic", or None where too little could be measured.
    """

    time: float | None
    memory: float | None
    flops: float | None
    state: float | None
    word: str | None


def growth_of(measures: Measures) -> Growth:
    """Return how the costs of a row grow.

    Quadratic: the rise of FLOPs, or of the numbers that operations write, is at least QUADRATIC_FROM; sub-quadratic:
    neither is. Counts are exact, seconds are not: only where a count is missing does the exponent of seconds decide,
    and what it finds below QUADRATIC_FROM stays open, as short rows hide what grows.
    """
    rows = measures.inference
    seconds = [(row.length, row.seconds) for row in rows if row.seconds is not None]
    memory = [(row.length, float(row.peak_bytes)) for row in rows if row.peak_bytes]
    flops = [(row.length, row.flops) for row in rows if row.flops]
    # A state that does not grow first has to fill up: the shortest length may lie before that.
    states = [(state.length, float(state.numbers)) for state in measures.states[-2:] if state.numbers]
    return Growth(
        time=exponent(seconds),
        memory=exponent(memory),
        flops=exponent(flops),
        state=exponent(states),
        word=_word(rows, exponent(seconds)),
    )


def exponent(curve: Curve) -> float | None:
    """Return the slope of log(cost) over log(length); None for fewer than two lengths. Costs are positive."""
    if len(curve) < 2:
        return None
    lengths, costs = np.log(np.asarray(curve, dtype=float)).T
    return float(np.polyfit(lengths, costs, 1)[0])


def rise(curve: Curve) -> float | None:
    """Return the exponent of the rising part of the cost per token, 1 where nothing rises by more than RISE_MIN.

    With f(n) the cost per token of a row of n, and lengths n, 2n, 4n at the end of the curve, it is
    1 + log2((f(4n) - f(2n)) / (f(2n) - f(n))). Infinite where the rise begins only behind 2n. None for fewer than three
    lengths, or where they do not double.
    """
    if len(curve) < 3 or not curve[-1][0] == 2 * curve[-2][0] == 4 * curve[-3][0]:
        return None
    low, middle, high = (cost / length for length, cost in curve[-3:])
    if high <= middle or high <= (1.0 + RISE_MIN) * low:
        return 1.0
    return 1.0 + math.log2((high - middle) / (middle - low)) if middle > low else math.inf


def _word(rows: Sequence[Inference], time: float | None) -> str | None:
    flops = rise([(row.length, row.flops) for row in rows if row.flops is not None])
    written = rise([(row.length, float(row.written)) for row in rows if row.written is not None])
    counted = flops is not None and written is not None
    if any(each is not None and each >= QUADRATIC_FROM for each in (flops, written, None if counted else time)):
        return QUADRATIC
    return SUB_QUADRATIC if counted else None
