"""Policy `surrogate`: the value model alone decides what is trained.

It looks at many designs per training, fresh ones and variations of the best that are known, and takes the one of the
greatest expected improvement. It has no tree, no bandit and no doubt about its model. Until the model knows `informed`
designs, and where a planner shows none before it has written them, it does as `greedy`.

Sources: White et al. (2021), BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search,
AAAI (candidates by varying the best); Jones et al. (1998), Efficient Global Optimization (expected improvement).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netwright.search.acquisition import log_expected_improvement
from netwright.search.basic import draft, expansion
from netwright.search.greedy import GreedyPolicy
from netwright.search.policy import PROMOTIONS, Observation, Searches, Sketch, Sketcher
from netwright.search.selection import pick_best
from netwright.search.transfer import Experience
from netwright.search.value_model import ModelSettings, ValueModel
from netwright.search.worth import worths
from netwright.types import Action, Operator


class SurrogatePolicy(GreedyPolicy):
    """Looks at `drafts` fresh designs and at `variations` of each of the `parents` best."""

    def __init__(
        self,
        *,
        seed: int,
        prices: Sequence[float],
        promotions: float = PROMOTIONS,
        informed: int = 8,
        drafts: int = 40,
        parents: int = 8,
        variations: int = 12,
    ) -> None:
        super().__init__(seed=seed, prices=prices, promotions=promotions, first_drafts=informed)
        self._model = ValueModel()
        self._informed = informed
        self._drafts = drafts
        self._parents = parents
        self._variations = variations

    def warm(self, searches: Searches) -> None:
        """Start from earlier searches on similar tasks.

        Raises:
            ValueError: something was asked or told before.
        """
        self.state.check_fresh()
        experience = Experience(searches, ModelSettings())
        if experience:
            self._model = ValueModel(expected=experience.expect)
            self._informed = 1

    def tell(self, observation: Observation) -> None:
        super().tell(observation)
        if observation.value is not None:
            value, error = worths(self.state)
            known = {node: structure for node, structure in self.structures.items() if node in value}
            self._model.learn(known, value, error)

    def expand(self, index: int, rng: np.random.Generator, sketch: Sketcher) -> Action:
        seen = self._look(index, sketch) if len(self._model) >= self._informed else []
        if not seen:
            return super().expand(index, rng, sketch)
        in_flight = [self.structures[each] for each in self.state.pending if each in self.structures]
        belief = self._model.predict([one.structure for _, one in seen], in_flight)
        action, chosen = seen[pick_best(rng, log_expected_improvement(belief, float(self._model.fitted.max())))]
        self.structures[index] = chosen.structure
        return action.model_copy(update={"draw": chosen.draw})

    def _look(self, index: int, sketch: Sketcher) -> list[tuple[Action, Sketch]]:
        wanted = [(draft(index), self._drafts)]
        for node in self._best_open(self._parents):
            wanted.append((expansion(index, Operator.REFINE, node), self._variations))
        return [(action, one) for action, count in wanted for one in sketch(action, count)]
