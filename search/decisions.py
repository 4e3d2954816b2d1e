"""Policy `mcts-decisions`: Monte Carlo tree search over the decisions that make a design.

A level of the tree is a place at which something is decided, a branch an option taken there, a leaf a whole design.

    kind = memory                      12 designs, mean 0.41
      rule.kind = delta                 5 designs, mean 0.55
        decay.kind = data               3 designs, mean 0.62
      rule.kind = hebbian               7 designs, mean 0.31
    kind = convolution                  4 designs, mean 0.28

Of the fresh designs that the planner shows, those are kept that take the option of the greatest upper confidence bound
(UCB1), place by place, and one never taken before any other; below that a design is drawn at random. Worth is the
standing of a result, 0 for a failure, and 0 for a design in flight, so that parallel asks spread.

A planner that cannot show designs before it has written them, such as an LLM, leaves no decisions to search: the policy
then drafts, as `random` does.

Source: Negrinho & Gordon (2017), DeepArchitect: Automatically Designing and Training Deep Architectures,
arXiv:1704.08792, section 5.2; UCT: Kocsis & Szepesvári (2006), Bandit Based Monte-Carlo Planning, ECML.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from netwright.search.basic import BasicPolicy, draft
from netwright.search.policy import PROMOTIONS, Sketch, Sketcher
from netwright.types import Action


class DecisionsPolicy(BasicPolicy):
    """UCT over the decisions of drafts; `exploration` weighs what is little known, `sketches` are looked at."""

    def __init__(
        self,
        *,
        seed: int,
        prices: Sequence[float],
        promotions: float = PROMOTIONS,
        exploration: float = 0.1,
        sketches: int = 64,
    ) -> None:
        super().__init__(seed=seed, prices=prices, promotions=promotions)
        self._exploration = exploration
        self._sketches = sketches

    def expand(self, index: int, rng: np.random.Generator, sketch: Sketcher) -> Action:
        action = draft(index)
        seen = sketch(action, self._sketches)
        if not seen:
            return action
        chosen = self._descend(rng, seen)
        self.structures[index] = chosen.structure
        return action.model_copy(update={"draw": chosen.draw})

    def _descend(self, rng: np.random.Generator, seen: Sequence[Sketch]) -> Sketch:
        left, worth = list(seen), self.state.standings()
        nodes = [node for node, structure in self.structures.items() if structure.choices]
        for place in sorted({place for one in seen for place in one.structure.choices}, key=coarse_first):
            options = sorted({one.structure.choices.get(place, "") for one in left})
            taken: dict[str, list[int]] = defaultdict(list)
            for node in nodes:
                taken[self.structures[node].choices.get(place, "")].append(node)
            worths = {option: [worth.get(node, 0.0) for node in taken[option]] for option in options}
            option = self._best(rng, worths, len(nodes))
            left = [one for one in left if one.structure.choices.get(place, "") == option]
            nodes = taken[option]
            if len(left) == 1 or not nodes:
                break
        return left[int(rng.integers(len(left)))]

    def _best(self, rng: np.random.Generator, worths: Mapping[str, Sequence[float]], visits: int) -> str:
        """Return the option of the greatest upper confidence bound, any of those that were never taken before it."""
        fresh = [option for option, known in worths.items() if not known]
        if fresh:
            return fresh[int(rng.integers(len(fresh)))]

        def bound(option: str) -> float:
            known = worths[option]
            return sum(known) / len(known) + self._exploration * math.sqrt(math.log(visits) / len(known))

        return max(worths, key=bound)


def coarse_first(place: str) -> tuple[int, bool, str]:
    """The order of places: those nearer to the root of the design first, and first of all what kind a part is."""
    return place.count("."), not place.endswith("kind"), place
