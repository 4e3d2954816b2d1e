"""What the Thompson bandits of a search have in common: fading evidence on a chance, and a draw from its posterior.

Source: Chapelle & Li (2011), An Empirical Evaluation of Thompson Sampling, NeurIPS; fractional rewards as in Agrawal &
Goyal (2012), COLT, without the final coin toss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Evidence:
    """Rewards in [0, 1] of one arm, added up, and what each lacked of 1."""

    won: float = 0.0
    lost: float = 0.0

    def add(self, reward: float, memory: float) -> None:
        """Take in a reward; what was known before counts `memory` times."""
        self.won = memory * self.won + reward
        self.lost = memory * self.lost + 1.0 - reward


def draw(rng: np.random.Generator, prior: float, strength: float, won: float, lost: float) -> float:
    """Draw a chance from the posterior whose prior is worth `strength` rewards of mean `prior`."""
    return float(rng.beta(strength * prior + won, strength * (1.0 - prior) + lost))
