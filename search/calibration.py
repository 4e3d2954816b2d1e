"""Is the value model to be believed? Judged by what it foretold of each result before it learned it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from netwright.search.value_model import Belief


class Foretold(NamedTuple):
    """One prediction with what became of it; `deviation` is that of the result, noise included."""

    mean: float
    deviation: float
    came: float


class Calibration:
    """The last `window` predictions. The model is trusted until they rank results worse than chance.

    Ranking is Kendall's tau; worse than chance means below minus one standard error of tau under independence.
    Source: Kendall (1938), Biometrika 30:81.
    """

    def __init__(self, *, window: int = 40, least: int = 12) -> None:
        self._recent: deque[Foretold] = deque(maxlen=window)
        self._least = least
        self._trusted = True

    def note(self, belief: Belief, noise: float, came: float, error: float) -> None:
        """Take in a belief about one design and the worth it then had."""
        deviation = float(np.sqrt(belief.deviation[0] ** 2 + noise**2 + error**2))
        self._recent.append(Foretold(float(belief.mean[0]), deviation, came))
        count = len(self._recent)
        chance = np.sqrt(2.0 * (2 * count + 5) / (9.0 * count * (count - 1))) if count > 1 else 0.0
        self._trusted = count < self._least or self.ranking >= -chance

    @property
    def trusted(self) -> bool:
        return self._trusted

    @property
    def ranking(self) -> float:
        """Kendall's tau of the recent predictions and what came; 0 where there is nothing to rank."""
        mean = np.array([one.mean for one in self._recent])
        came = np.array([one.came for one in self._recent])
        pairs = len(mean) * (len(mean) - 1)
        if pairs == 0:
            return 0.0
        return float((np.sign(mean[:, None] - mean) * np.sign(came[:, None] - came)).sum() / pairs)

    @property
    def coverage(self) -> float | None:
        """Share of recent results inside their 90% interval; None before the first."""
        if not self._recent:
            return None
        return float(np.mean([abs(one.came - one.mean) <= 1.645 * one.deviation for one in self._recent]))
