"""Policy `greedy`: always grow the best design that is known.

A few drafts come first. Then the node of the best standing is varied, the youngest of equals; one whose last
`patience` children all failed or were duplicates is closed, and the next best is grown. Where all are closed, it
drafts.

Source: best-first search, Pearl (1984), Heuristics, ch. 2; as local search over architectures White et al. (2021),
Exploring the Loss Landscape in Neural Architecture Search, UAI; drafts before it as in AIDE, Jiang et al. (2025),
arXiv:2502.13138.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netwright.search.basic import BasicPolicy, draft, expansion, variation
from netwright.search.policy import PROMOTIONS, Sketcher
from netwright.types import Action, Operator


class GreedyPolicy(BasicPolicy):
    """Best-first search; a combination takes the two best."""

    def __init__(
        self,
        *,
        seed: int,
        prices: Sequence[float],
        promotions: float = PROMOTIONS,
        first_drafts: int = 5,
        patience: int = 6,
    ) -> None:
        super().__init__(seed=seed, prices=prices, promotions=promotions)
        self._first_drafts = first_drafts
        self._patience = patience

    def expand(self, index: int, rng: np.random.Generator, sketch: Sketcher) -> Action:
        best = self._best_open(2)
        if self.state.asked[Operator.DRAFT] < self._first_drafts or not best:
            return draft(index)
        operator = variation(rng)
        if operator is Operator.COMBINE and len(best) < 2:
            operator = Operator.REFINE
        return expansion(index, operator, *best[: 2 if operator is Operator.COMBINE else 1])

    def _best_open(self, count: int) -> list[int]:
        """Return the best nodes that are worth growing, best first."""
        standings = self.state.standings()
        nodes = [node.id for node in self.state.in_order if node.alive and node.failures < self._patience]
        return sorted(reversed(nodes), key=standings.__getitem__, reverse=True)[:count]
