"""Where a node stands among the nodes trained with the same budget.

Values are never used as such: each becomes its expected rank at its rung, so that a search behaves the same
for nats, bits or per cent, and a noisy result stands nearer to the middle than a certain one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Logistic approximation of the normal distribution function, absolute error below 0.01:
# Phi(z) ~ 1 / (1 + exp(-1.702 z)). Source: Camilli (1994), J. Educ. Behav. Stat. 19:293.
_LOGISTIC = 1.702 / 2


def probability_better(value: float, error: float, values: Floats, errors: Floats) -> Floats:
    """P(the first is truly better than each of the others), `(n,)`; one half for exact ties.

    Errors are standard errors of independent normal estimates.
    """
    # Differences of huge values may overflow to infinity, which saturates at 0 or 1 as it should.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore", under="ignore"):
        difference = value - values
        spread = np.hypot(error, errors)
        z = np.where(spread > 0.0, difference / spread, np.inf * np.sign(difference))
    return np.asarray(0.5 * (1.0 + np.tanh(_LOGISTIC * np.where(difference == 0.0, 0.0, z))))


def beyond_chance(value: float, error: float, rival: float, rival_error: float) -> float:
    """How surely `value` is better than that of a rival, in [0, 1]: max(0, 2 P(better) - 1)."""
    better = probability_better(value, error, np.array([rival]), np.array([rival_error]))
    return max(0.0, 2.0 * float(better[0]) - 1.0)


def places(values: Floats) -> Floats:
    """Return how many are ahead of each value, `(n,)`, the highest first; equal values share the mean of their places.

    What scipy.stats.rankdata does, but that takes half a second to import.
    """
    ahead = (values[None, :] > values[:, None]).sum(axis=1)
    level = (values[None, :] == values[:, None]).sum(axis=1)
    return np.asarray(ahead + (level - 1) / 2)


class RungTable:
    """All results at one rung with their expected ranks, kept up to date in O(n) per result."""

    def __init__(self) -> None:
        self.nodes: list[int] = []
        self.values: Floats = np.empty(0)
        self.errors: Floats = np.empty(0)
        self._ranks: Floats = np.empty(0)
        self._position: dict[int, int] = {}

    def __contains__(self, node: int) -> bool:
        return node in self._position

    def __len__(self) -> int:
        return len(self.nodes)

    def value(self, node: int) -> tuple[float, float]:
        """Value and standard error of a node in this table."""
        position = self._position[node]
        return float(self.values[position]), float(self.errors[position])

    def put(self, node: int, value: float, error: float) -> None:
        """Add a result, or replace the node's earlier one at this rung."""
        if node in self._position:
            self._remove(node)
        wins = probability_better(value, error, self.values, self.errors)
        self._position[node] = len(self.nodes)
        self.nodes.append(node)
        self.values = np.append(self.values, value)
        self.errors = np.append(self.errors, error)
        self._ranks = np.append(self._ranks + wins, 1.0 + float(np.sum(1.0 - wins)))

    def _remove(self, node: int) -> None:
        position = self._position[node]
        wins = probability_better(float(self.values[position]), float(self.errors[position]), self.values, self.errors)
        self.nodes.pop(position)
        self.values = np.delete(self.values, position)
        self.errors = np.delete(self.errors, position)
        self._ranks = np.delete(self._ranks - wins, position)
        self._position = {other: place for place, other in enumerate(self.nodes)}

    def ranks(self) -> Floats:
        """Return expected ranks, `(n,)`: 1 + sum over the other nodes of P(the other is better)."""
        return self._ranks

    def standings(self) -> Floats:
        """Return each node's standing in (0, 1], `(n,)`: `1 - ln(rank) / ln(n + 1)`.

        The best of many stands at 1, and differences are large at the top, where they matter.
        """
        if not self.nodes:
            return np.empty(0)
        ranks = np.clip(self._ranks, 1.0, len(self.nodes))
        return np.asarray(1.0 - np.log(ranks) / np.log(len(self.nodes) + 1.0))


def exchange_places(standings: dict[int, float], table: RungTable, failed: set[int]) -> None:
    """Let a higher rung decide who holds which of the places that the nodes which reached it hold together.

    Values of different rungs are never compared: a longer training is better by itself, so the promoted nodes
    keep the multiset of their lower-rung standings and only its order follows the higher rung. Nodes that
    failed there come last.
    """
    finished = sorted(zip(table.ranks().tolist(), table.nodes, strict=True))
    order = [node for _, node in finished] + sorted(failed)
    order = [node for node in order if node in standings]
    places = sorted((standings[node] for node in order), reverse=True)
    standings.update(zip(order, places, strict=True))
