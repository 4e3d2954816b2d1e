"""Which of several models designs next: a Thompson bandit over what each has bought for what it costs, by operator.

For model `m` and operator `o` a chance of improvement is drawn from

    Beta(s p_o + w_mo + k (W_m - w_mo),  s (1 - p_o) + l_mo + k (L_m - l_mo))

where `w`, `l` are the rewards of the pair and what they lacked of 1, `W`, `L` their sums over all operators, `p_o` is
what is believed of the operator before any result, worth `s` of them. Results by other operators count `k` times: a
power prior (Ibrahim & Chen 2000, Power Prior Distributions for Regression Models, Statistical Science 15:1). The draw
is divided by what a design of the model costs on average, plus a share of what one costs on average over models: a
training slot and its time are taken whatever the tokens cost. The best quotient is chosen (Xia, Li, Qin, Yu, Liu 2015,
Thompson Sampling for Budgeted Multi-Armed Bandits, IJCAI).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netwright.search.operators import PRIOR_MEANS
from netwright.search.standings import beyond_chance
from netwright.search.thompson import Evidence, draw
from netwright.types import Operator, Outcome, Verdict

_STREAM = 0x6D6F64656C73
"""Keeps these draws apart from the search's own for the same seed and action."""
_SIGMAS = 1.96
"""Half of a 95% interval in standard errors."""


def reward(verdict: Verdict | None) -> float:
    """How surely a design improved on its rival, its parent or the best baseline, in [0, 1]; see `beyond_chance`.

    What has no verdict or failed earns 0, what had no rival 1/2. Where the noise is unknown, a smaller loss earns 1/2.
    """
    if verdict is None or verdict.outcome is Outcome.FAILED:
        return 0.0
    if verdict.delta_nats is None:
        return 0.5
    if verdict.interval is None:
        return 0.5 if verdict.delta_nats < 0.0 else 0.0
    error = (verdict.interval.high - verdict.interval.low) / (2.0 * _SIGMAS)
    return beyond_chance(-verdict.delta_nats, error, 0.0, 0.0)


class ModelBandit:
    """Chooses among `models`. The same results told in the same order, and the same seed, choose the same.

    `strength` is `s`, `pooling` is `k`; evidence fades by `memory` per result; `overhead` is the share of the mean cost
    that every design costs besides its own.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        seed: int,
        strength: float = 2.0,
        pooling: float = 0.25,
        memory: float = 0.98,
        overhead: float = 0.25,
    ) -> None:
        self._seed = seed
        self._strength = strength
        self._pooling = pooling
        self._memory = memory
        self._overhead = overhead
        self._evidence = {model: {operator: Evidence() for operator in PRIOR_MEANS} for model in models}
        self._costs: dict[str, list[float]] = {model: [] for model in models}

    def choose(self, action: int, operator: Operator) -> str:
        """Return the model that makes the design of an action of the search."""
        rng = np.random.default_rng((self._seed, action, _STREAM))
        usual = self._usual_cost()
        worth = {
            model: self._draw(rng, model, operator) / (self._cost(model, usual) + self._overhead * usual)
            for model in self._evidence
        }
        return max(worth, key=worth.__getitem__)

    def tell(self, model: str, operator: Operator, reward: float, cost: float) -> None:
        """Take in what a design was worth and what its calls cost; a cost of 0 (no call was answered) is left out.

        A model that is not among those to choose from any more teaches nothing.
        """
        if model not in self._evidence:
            return
        self._evidence[model][operator].add(reward, self._memory)
        if cost > 0.0:
            self._costs[model].append(cost)

    def _draw(self, rng: np.random.Generator, model: str, operator: Operator) -> float:
        known = self._evidence[model]
        weights = {other: 1.0 if other is operator else self._pooling for other in known}
        won = sum(weight * known[other].won for other, weight in weights.items())
        lost = sum(weight * known[other].lost for other, weight in weights.items())
        return draw(rng, PRIOR_MEANS[operator], self._strength, won, lost)

    def _usual_cost(self) -> float:
        """The mean over models of what a design of each costs; 1 before anything is known."""
        means = [sum(costs) / len(costs) for costs in self._costs.values() if costs]
        return sum(means) / len(means) if means else 1.0

    def _cost(self, model: str, usual: float) -> float:
        """What a design of `model` costs on average, as if one more had cost the usual."""
        costs = self._costs[model]
        return (usual + sum(costs)) / (1 + len(costs))
