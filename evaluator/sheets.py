"""The question sheets of a scoring: what each fresh process is asked, so that their answers can be held together.

    A:  row 7 | row 2 | row 0 | row 2 | ...                        the real rows, in one order
    B:  row 0 | row 1 | row 7 | row 1 | ...   up to the cut, then another row's future; in another order

Where a row may be read as a whole, nothing is cut: B holds the same rows in another order and other company, some of
them twice, as A does. Both sheets have the same size and go out in calls of the same shape, and whatever stands in
them is real data. A process that looks through its whole sheet can still tell B, by rows that end alike, and guess some
of the cuts; what stood behind them it cannot know.

No process sees both a row and its twin, or two twins of one row, so none can recognise what it was asked before and
repeat its answer. A row that stands twice on a sheet is the same both times, to the last token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.evaluator.tasks.base import UNSCORED

Rows = npt.NDArray[Any]
"""Tokens (N, T) int32, or numbers (N, ...) float32; of targets (N, P)."""
Order = npt.NDArray[np.int64]

ROWS_PER_CALL = 32
REPEATED_SHARE = 1 / 8
"""How many rows stand twice on a sheet, of a task whose rows may be read as a whole.

There the order of rows, their company and their repetition are all that can be tried. Elsewhere rows stand twice only
to fill the last call up, which costs little and leaves no call of a shape of its own.
"""
_DONORS_TRIED = 4


@dataclass(frozen=True, kw_only=True)
class Sheets:
    """The two question sheets of one comparison.

    `real` holds the rows of the split and `other` the same rows with another row's future from `cuts[i]` on, both
    (N, ...) and in the split's order; a cut behind the last position leaves a row as it is. Process A is given
    `real[order_a]`, process B `other[order_b]`; the orders (M,), M >= N, name every row, some of them twice.
    """

    real: Rows
    other: Rows
    cuts: Order
    order_a: Order
    order_b: Order
    causal: bool

    @property
    def sheet_a(self) -> Rows:
        return np.ascontiguousarray(self.real[self.order_a])

    @property
    def sheet_b(self) -> Rows:
        return np.ascontiguousarray(self.other[self.order_b])


def make_sheets(
    inputs: Rows,
    targets: Rows,
    rng: np.random.Generator,
    *,
    causal: bool,
    order_a: Order | None = None,
) -> Sheets:
    """Make both sheets for rows `inputs` (N, ...) with `targets` (N, P); A's order is drawn too unless it is given.

    In a causal task every row is cut at 1..T, behind a scored position wherever it has any, so that the twins also
    give a loss that no future can have helped. Donors are real rows.
    """
    n_rows, positions = targets.shape
    if n_rows < 2 or (causal and positions < 2):
        raise ValueError(f"an audit needs at least 2 rows, of 2 tokens to cut, got {n_rows} rows of {positions}")
    cuts = _draw_cuts(targets, rng) if causal else np.full(n_rows, positions, dtype=np.int64)
    return Sheets(
        real=inputs,
        other=_splice(inputs, cuts, rng) if causal else inputs,
        cuts=cuts,
        order_a=draw_order(n_rows, rng, causal=causal) if order_a is None else order_a,
        order_b=draw_order(n_rows, rng, causal=causal),
        causal=causal,
    )


def _splice(inputs: Rows, cuts: Order, rng: np.random.Generator) -> Rows:
    donors = _draw_donors(inputs, cuts, rng)
    future = np.arange(inputs.shape[1])[None, :] >= cuts[:, None]
    return np.where(future, inputs[donors], inputs).astype(np.int32)


def _draw_cuts(targets: Rows, rng: np.random.Generator) -> Order:
    """Draw for each row the first position of the foreign future; T where the last position is the one before it."""
    chance = rng.random(targets.shape)
    return np.asarray(np.argmax(chance + (targets != UNSCORED), axis=1) + 1, dtype=np.int64)


def _draw_donors(inputs: Rows, cuts: Order, rng: np.random.Generator) -> Order:
    """Draw for each row one that is cut before it, with a different token at the cut if a few tries find it.

    So what a row would have gone on with stands nowhere on the sheet, and who sees all of it cannot complete a row.
    Only rows of the earliest cut have to take any other.
    """
    n_rows, length = inputs.shape
    rows, by_cut = np.arange(n_rows), np.argsort(cuts, kind="stable")
    earlier = np.searchsorted(cuts[by_cut], cuts)
    ranks = (rng.random((n_rows, _DONORS_TRIED)) * earlier[:, None]).astype(np.int64)
    others = (rows[:, None] + rng.integers(1, n_rows, size=ranks.shape)) % n_rows
    tries = np.where(earlier[:, None] > 0, by_cut[ranks], others)
    at = np.minimum(cuts, length - 1)
    differs = inputs[tries, at[:, None]] != inputs[rows, at][:, None]
    return np.asarray(tries[rows, np.argmax(differs, axis=1)], dtype=np.int64)


def draw_order(n_rows: int, rng: np.random.Generator, *, causal: bool) -> Order:
    """Draw the rows of a sheet: all of them, and some a second time until the calls are full."""
    wanted = n_rows + (0 if causal else max(1, round(n_rows * REPEATED_SHARE)))
    repeats = wanted + -wanted % ROWS_PER_CALL - n_rows
    again = rng.permutation(np.resize(np.arange(n_rows), max(repeats, n_rows)))[:repeats]
    return rng.permutation(np.concatenate([np.arange(n_rows), again]))
