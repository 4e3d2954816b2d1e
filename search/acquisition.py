"""How much a training of a design is expected to gain."""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

from netwright.search.standings import Floats
from netwright.search.value_model import Belief


def log_expected_improvement(belief: Belief, best: float) -> Floats:
    """Return `ln E max(0, worth - best)`, `(n,)`, finite however unlikely an improvement is.

    Source: Jones et al. (1998), Efficient Global Optimization; in logarithms as Ament et al. (2023), Unexpected
    Improvements to Expected Improvement, NeurIPS.
    """
    z = (belief.mean - best) / belief.deviation
    density = -0.5 * z**2 - 0.5 * np.log(2.0 * np.pi)
    # phi(z) + z Phi(z) = phi(z) (1 + z Phi(z) / phi(z)); for very negative z the bracket is 1 / z^2.
    ratio = z * np.exp(np.minimum(log_ndtr(z) - density, 700.0))
    bracket = np.where(z < -30.0, 1.0 / np.maximum(z**2, 1.0), np.maximum(1.0 + ratio, 1e-12))
    return np.asarray(density + np.log(bracket) + np.log(belief.deviation))
