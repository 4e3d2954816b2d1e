"""Policy `random`: every action a fresh draft. The control that any search must beat.

Source: Li & Talwalkar (2019), Random Search and Reproducibility for Neural Architecture Search, UAI.
"""

from __future__ import annotations

import numpy as np

from netwright.search.basic import BasicPolicy, draft
from netwright.search.policy import Sketcher
from netwright.types import Action


class RandomPolicy(BasicPolicy):
    """Drafts, and the promotions that every policy makes."""

    def expand(self, index: int, rng: np.random.Generator, sketch: Sketcher) -> Action:
        return draft(index)
