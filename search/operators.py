"""How the tree search chooses an operator: a Thompson bandit over what each has bought so far.

The reward of an experiment is the probability that it improved on its rival beyond chance, `max(0, 2 P(child
better) - 1)`. The rival is the better of its parents (for a repair, of the parents of what it repairs); where
there is none, as for a draft, it is the best of all results at that rung: the other operators mostly start
from the best, so this is the same currency. The rival of a promotion is the best at the higher rung; the first of a
rung earns 1/2. A failure earns 0. A promotion costs more than a new design, so its draw is divided by its price.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from netwright.search.policy import Observation
from netwright.search.standings import RungTable, beyond_chance
from netwright.search.thompson import Evidence, draw
from netwright.search.tree_state import TreeState
from netwright.types import Action, Operator

# Believed chance of improvement before any result; the order, not the figures, is what matters.
PRIOR_MEANS: Mapping[Operator, float] = {
    Operator.DRAFT: 0.10,
    Operator.REFINE: 0.35,
    Operator.COMBINE: 0.30,
    Operator.SIMPLIFY: 0.20,
    Operator.TUNE: 0.15,
    Operator.REPAIR: 0.20,
}
PROMOTION = "promotion"
"""The arm that is no operator: a training of a known design at a higher rung."""
_ARMS: Mapping[str, float] = {operator.value: mean for operator, mean in PRIOR_MEANS.items()} | {PROMOTION: 0.5}
_WAYS_OUT = (Operator.DRAFT, Operator.COMBINE, PROMOTION)
"""What counts more while the search stagnates."""


def improvement(state: TreeState, observation: Observation) -> float:
    """Return the reward in [0, 1] of an observation that is not yet part of `state`."""
    if observation.value is None or observation.action is None:
        return 0.0
    table = state.tables[observation.rung]
    rival = _rival(table, _origins(state, observation.action))
    if rival is None:
        return 0.5
    return beyond_chance(observation.value, observation.standard_error, *rival)


def _origins(state: TreeState, action: Action) -> tuple[int, ...]:
    """Return the parents to beat: those of what it repairs, for a repair."""
    if action.operator is Operator.REPAIR:
        return state.nodes[action.parents[0]].parents
    return action.parents


def _rival(table: RungTable, parents: tuple[int, ...]) -> tuple[float, float] | None:
    known = [table.value(parent) for parent in parents if parent in table]
    if known:
        return max(known)
    if len(table) == 0:
        return None
    return table.value(table.nodes[int(np.argmax(table.values))])


class OperatorBandit:
    """Beta posteriors over the chance that each arm, an operator or a promotion, improves.

    Evidence fades by `memory` per result.
    """

    def __init__(self, *, strength: float = 6.0, memory: float = 0.98, floor: float = 0.1) -> None:
        self._strength = strength
        self._memory = memory
        self._floor = floor
        self._evidence = {arm: Evidence() for arm in _ARMS}

    def update(self, arm: str, reward: float) -> None:
        """Take in one reward in [0, 1]."""
        if arm in _ARMS:
            self._evidence[arm].add(reward, self._memory)

    def choose(self, rng: np.random.Generator, available: Collection[Operator], novelty: float) -> Operator:
        """Return one of `available`, mostly the best of one draw from each posterior.

        The draws of draft and combine count `novelty` times. With probability `floor` any may be chosen, so
        that none is starved.
        """
        ordered = [operator for operator in PRIOR_MEANS if operator in available]
        if rng.random() < self._floor:
            weights = np.array([PRIOR_MEANS[operator] for operator in ordered])
            return ordered[int(rng.choice(len(ordered), p=weights / weights.sum()))]
        draws = [self._draw(rng, operator, novelty) for operator in ordered]
        return ordered[int(np.argmax(draws))]

    def promotes(
        self, rng: np.random.Generator, available: Collection[Operator], novelty: float, *, price: float, in_flight: int
    ) -> bool:
        """Tell whether one draw for a promotion, divided by its price, exceeds that of each of `available`.

        `price` is in trainings of a new design. Promotions `in_flight` count as having brought nothing; the draws of
        draft, combine and promotion count `novelty` times.
        """
        up = self._draw(rng, PROMOTION, novelty, in_flight)
        ordered = [operator for operator in PRIOR_MEANS if operator in available]
        return up / price > max(self._draw(rng, operator, novelty) for operator in ordered)

    def _draw(self, rng: np.random.Generator, arm: str, novelty: float, in_flight: int = 0) -> float:
        known = self._evidence[arm]
        chance = draw(rng, _ARMS[arm], self._strength, known.won, known.lost + in_flight)
        return chance * (novelty if arm in _WAYS_OUT else 1.0)
