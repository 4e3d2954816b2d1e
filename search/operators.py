"""How the tree search chooses an operator: a Thompson bandit over what each has bought so far.

The reward of an experiment is the probability that it improved on its rival beyond chance, `max(0, 2 P(child
better) - 1)`. The rival is the better of its parents (for a repair, of the parents of what it repairs); where
there is none, as for a draft, it is the best of all results at that rung: the other operators mostly start
from the best, so this is the same currency. A failure earns 0.
Source: Chapelle & Li (2011), An Empirical Evaluation of Thompson Sampling, NeurIPS; fractional rewards as in
Agrawal & Goyal (2012), COLT, without the final coin toss.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from netwright.search.policy import Observation
from netwright.search.standings import RungTable, probability_better
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
_STRUCTURAL = (Operator.DRAFT, Operator.COMBINE)


def improvement(state: TreeState, observation: Observation) -> float:
    """Return the reward in [0, 1] of an observation that is not yet part of `state`."""
    if observation.value is None or observation.action is None:
        return 0.0
    table = state.tables[observation.rung]
    rival = _rival(table, _origins(state, observation.action))
    if rival is None:
        return 0.5
    better = probability_better(
        observation.value, observation.standard_error, np.array([rival[0]]), np.array([rival[1]])
    )
    return max(0.0, 2.0 * float(better[0]) - 1.0)


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
    """Beta posteriors over the chance that an operator improves; evidence fades by `memory` per result."""

    def __init__(self, *, strength: float = 6.0, memory: float = 0.98, floor: float = 0.1) -> None:
        self._strength = strength
        self._memory = memory
        self._floor = floor
        self._won = dict.fromkeys(PRIOR_MEANS, 0.0)
        self._lost = dict.fromkeys(PRIOR_MEANS, 0.0)

    def update(self, operator: Operator, reward: float) -> None:
        """Take in one reward in [0, 1]."""
        if operator not in PRIOR_MEANS:
            return
        self._won[operator] = self._memory * self._won[operator] + reward
        self._lost[operator] = self._memory * self._lost[operator] + 1.0 - reward

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

    def _draw(self, rng: np.random.Generator, operator: Operator, novelty: float) -> float:
        prior = PRIOR_MEANS[operator]
        draw = rng.beta(
            self._strength * prior + self._won[operator],
            self._strength * (1.0 - prior) + self._lost[operator],
        )
        return float(draw) * (novelty if operator in _STRUCTURAL else 1.0)
