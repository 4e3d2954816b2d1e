"""Policy `evolution`: aging evolution over the operators of a campaign.

Source: Real et al. (2019), Regularized Evolution for Image Classifier Architecture Search, AAAI; algorithm 1.
The population is the `population` youngest results; a tournament of `sample` names the parent. Baselines are
its first members, failures never enter it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from netwright.search.basic import BasicPolicy, draft, expansion, variation
from netwright.search.policy import PROMOTIONS, Sketcher
from netwright.types import Action, Operator


class EvolutionPolicy(BasicPolicy):
    """Aging evolution with asynchronous workers: the parent is chosen among what is known when asked."""

    def __init__(
        self,
        *,
        seed: int,
        prices: Sequence[float],
        promotions: float = PROMOTIONS,
        population: int = 20,
        sample: int = 5,
    ) -> None:
        super().__init__(seed=seed, prices=prices, promotions=promotions)
        self._population = population
        self._sample = sample

    def expand(self, index: int, rng: np.random.Generator, sketch: Sketcher) -> Action:
        alive = [node.id for node in self.state.in_order if node.alive]
        drafting = sum(action.operator is Operator.DRAFT for action in self.state.pending.values())
        if not alive or len(alive) + drafting < self._population:
            return draft(index)
        members = alive[-self._population :]
        standings = self.state.standings()
        operator = variation(rng)
        parent = self._tournament(rng, members, standings)
        others = [node for node in members if node != parent]
        if operator is not Operator.COMBINE:
            return expansion(index, operator, parent)
        if not others:
            return expansion(index, Operator.REFINE, parent)
        return expansion(index, operator, parent, self._tournament(rng, others, standings))

    def _tournament(self, rng: np.random.Generator, members: list[int], standings: Mapping[int, float]) -> int:
        """Return the best of `sample` members drawn with replacement."""
        drawn = [members[int(place)] for place in rng.integers(len(members), size=self._sample)]
        return max(drawn, key=standings.__getitem__)
