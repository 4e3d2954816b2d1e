"""Policy `map-elites`: grow the best design of a cell, any cell alike, so that many kinds get better side by side.

Source: Mouret & Clune (2015), Illuminating search spaces by mapping elites, arXiv:1504.04909. Cells and partners are
those of the archive, which see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from netwright.search.archive import Archive
from netwright.search.basic import BasicPolicy, draft, expansion, variation
from netwright.search.descriptors import AXES, descriptors
from netwright.search.policy import PROMOTIONS, Observation, Sketcher
from netwright.types import Action, Operator


class MapElitesPolicy(BasicPolicy):
    """Drafts until `first_drafts` were asked for, then children of elites drawn from all cells alike.

    An elite whose last `patience` children all failed or were duplicates is passed over.
    """

    def __init__(
        self,
        *,
        seed: int,
        prices: Sequence[float],
        promotions: float = PROMOTIONS,
        first_drafts: int = 10,
        patience: int = 6,
    ) -> None:
        super().__init__(seed=seed, prices=prices, promotions=promotions)
        self.archive = Archive(AXES)
        self._first_drafts = first_drafts
        self._patience = patience

    def tell(self, observation: Observation) -> None:
        super().tell(observation)
        node = observation.node
        if observation.value is not None:
            structure = self.structures.get(node)
            self.archive.put(node, descriptors(structure) if structure else {})

    def expand(self, index: int, rng: np.random.Generator, sketch: Sketcher) -> Action:
        worth = self.state.standings()
        elites = [node for node in self.archive.elites(worth).values() if self._is_open(node)]
        if self.state.asked[Operator.DRAFT] < self._first_drafts or not elites:
            return draft(index)
        parent = elites[int(rng.integers(len(elites)))]
        operator = variation(rng)
        if operator is not Operator.COMBINE:
            return expansion(index, operator, parent)
        partner = self._partner(rng, parent, worth)
        if partner is None:
            return expansion(index, Operator.REFINE, parent)
        return expansion(index, operator, parent, partner)

    def _is_open(self, node: int) -> bool:
        return self.state.nodes[node].failures < self._patience

    def _partner(self, rng: np.random.Generator, parent: int, worth: Mapping[int, float]) -> int | None:
        weights = self.archive.partners(parent, worth)
        if not weights:
            return None
        chances = np.array(list(weights.values()))
        return list(weights)[int(rng.choice(len(chances), p=chances / chances.sum()))]
