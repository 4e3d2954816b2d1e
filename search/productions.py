"""Which decisions of a grammar pay: a bandit for every decision, all fed by the same results.

The reward of a whole design is credited to each of its choices by itself, as if choices added up: the naive
assumption that makes a combinatorial bandit tractable (Ontanon 2013, The Combinatorial Multi-Armed Bandit Problem and
Its Application to Real-Time Strategy Games, AIIDE). Means are shrunken, those of a place towards those of the same
decision anywhere, and these towards the mean of all results, so that few results move little. Weights are exponential
in the means and bounded, so that every option is tried for ever (Auer, Cesa-Bianchi, Freund, Schapire 2002, The
Nonstochastic Multiarmed Bandit Problem, SIAM J. Comput. 32:1).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from netwright.choices import role


class _Evidence:
    """How often an option was taken, and the standings that it led to."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0

    def add(self, standing: float) -> None:
        self.count += 1
        self.total += standing

    def mean(self, prior: float, strength: float) -> float:
        """Return the mean as if `strength` further results had stood at `prior`."""
        return (strength * prior + self.total) / (strength + self.count)


class ProductionBandit:
    """Factors on the probability of each option at each place, learned from results.

    `strength` is how many results a prior mean is worth: by default the variance of standings that are spread evenly,
    1/12, over that of options whose means differ by 0.1. `sharpness` is how many e-folds of probability lie between
    the best and the worst standing; no factor is below `floor` or above 1 / `floor`. The same updates in any order give
    the same weights, but for rounding in the last digits, which is cut off.
    """

    def __init__(self, *, strength: float = 8.0, sharpness: float = 5.0, floor: float = 0.25) -> None:
        self._strength = strength
        self._sharpness = sharpness
        self._floor = floor
        self._all = _Evidence()
        self._options: dict[tuple[str, str], _Evidence] = defaultdict(_Evidence)

    def update(self, choices: Mapping[str, str], standing: float) -> None:
        """Take in one result: what its design chose at each place, and where it stands among results, in [0, 1].

        A design that failed stands at 0. One that was not made by choices (`choices` is empty) teaches nothing.

        Raises:
            ValueError: the standing is outside [0, 1].
        """
        if not 0.0 <= standing <= 1.0:
            raise ValueError(f"a standing is a share of the results, in [0, 1]: got {standing}")
        if not choices:
            return
        self._all.add(standing)
        for key in {*choices.items(), *((role(place), option) for place, option in choices.items())}:
            self._options[key].add(standing)

    def weights(self) -> dict[str, dict[str, float]]:
        """Return the factors by place and by role (see `netwright.choices.role`); {} before any result."""
        middle = self._all.mean(0.0, 0.0) if self._all.count else 0.0
        weights: dict[str, dict[str, float]] = {}
        for (place, option), evidence in sorted(self._options.items()):
            prior = middle
            if role(place) != place:
                prior = self._options[role(place), option].mean(middle, self._strength)
            gain = evidence.mean(prior, self._strength) - middle
            factor = min(1 / self._floor, max(self._floor, math.exp(self._sharpness * gain)))
            weights.setdefault(place, {})[option] = round(factor, 3)
        return weights
