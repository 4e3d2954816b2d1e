"""Policy `evolution`: aging evolution over the operators of a campaign.

Source: Real et al. (2019), Regularized Evolution for Image Classifier Architecture Search, AAAI; algorithm 1.
The population is the `population` youngest results; a tournament of `sample` names the parent. Baselines are
its first members, failures never enter it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netwright.search.policy import NodeStatistics, Observation, Sketcher, no_sketches
from netwright.search.promotion import PromotionRule
from netwright.search.random_search import statistics_of
from netwright.search.tree_state import TreeState
from netwright.types import Action, Operator, Structure

_VARIATION = {Operator.REFINE: 0.7, Operator.COMBINE: 0.2, Operator.SIMPLIFY: 0.1}


class EvolutionPolicy:
    """Aging evolution with asynchronous workers: the parent is chosen among what is known when asked."""

    def __init__(
        self, *, seed: int, rungs: int, promotions: float = 0.15, population: int = 20, sample: int = 5
    ) -> None:
        self._seed = seed
        self._state = TreeState(rungs)
        self._rule = PromotionRule(share=promotions)
        self._population = population
        self._sample = sample

    def ask(self, index: int, sketch: Sketcher = no_sketches) -> Action:
        action = self._rule.choose(self._state, index) or self._expand(index)
        self._state.record_ask(action)
        return action

    def resume(self, action: Action, structure: Structure | None = None) -> None:
        self._state.record_ask(action)

    def tell(self, observation: Observation) -> None:
        self._state.record_tell(observation)

    def node_statistics(self) -> Mapping[int, NodeStatistics]:
        return statistics_of(self._state)

    def _expand(self, index: int) -> Action:
        alive = [node for node in self._state.order if self._state.nodes[node].alive]
        drafting = sum(action.operator is Operator.DRAFT for action in self._state.pending.values())
        if not alive or len(alive) + drafting < self._population:
            return Action(index=index, kind="expand", operator=Operator.DRAFT)
        rng = np.random.default_rng([self._seed, index])
        members = alive[-self._population :]
        standings = self._state.standings()
        operator = list(_VARIATION)[rng.choice(len(_VARIATION), p=list(_VARIATION.values()))]
        parent = self._tournament(rng, members, standings)
        others = [node for node in members if node != parent]
        if operator is not Operator.COMBINE or not others:
            single = Operator.REFINE if operator is Operator.COMBINE else operator
            return Action(index=index, kind="expand", operator=single, parents=(parent,))
        partner = self._tournament(rng, others, standings)
        return Action(index=index, kind="expand", operator=operator, parents=(parent, partner))

    def _tournament(self, rng: np.random.Generator, members: list[int], standings: Mapping[int, float]) -> int:
        """Return the best of `sample` members drawn with replacement."""
        drawn = [members[int(place)] for place in rng.integers(len(members), size=self._sample)]
        return max(drawn, key=standings.__getitem__)
