"""The covariance of two designs' scores, and the setting of it that explains the scores seen best.

    k(x, y) = (1 - q) exp(-sum_g r_g d_g(x, y)) + q (2 - d_choices(x, y) - d_counts(x, y)) / 2

with the distances d_g of `encoding`, one per group: a product, which lets everything interact, and a linear part,
which learns what each decision and each operation is worth by itself. The setting maximises its posterior, the marginal
likelihood with the signal variance integrated out times a prior.
Source: Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, sections 4.2 and 5.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular

from netwright.search.standings import Floats

_RATES = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_LINEAR = (0.0, 0.25, 0.5, 0.75)
_NOISES = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
# A priori the signal has variance 1, as strongly as four observations say.
_STRENGTH = 4.0
# Nats of evidence that a step away from the defaults must be worth: per squared step, and per step of the numbers.
_NEARNESS = 0.15
_RELUCTANCE = 1.0


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Places on the grids above: rates r_g, share q of the linear part, noise variance per signal variance."""

    rates: tuple[int, int, int] = (5, 5, 0)
    linear: int = 1
    noise: int = 2

    @property
    def noise_variance(self) -> float:
        return _NOISES[self.noise]

    @property
    def log_prior(self) -> float:
        """Log of the prior, up to a constant: near the defaults, and without numbers unless they explain much.

        Few results say little about the kernel, and a quantity is easily related to them by chance.
        """
        choices, counts, numbers = self.rates
        default = Setting()
        apart = (choices - default.rates[0]) ** 2 + (counts - default.rates[1]) ** 2 + (self.noise - default.noise) ** 2
        return -_NEARNESS * apart - _RELUCTANCE * numbers

    def steps(self) -> Iterator[Setting]:
        """Every setting one step away."""
        for change in (-1, 1):
            for group, place in enumerate(self.rates):
                if 0 <= place + change < len(_RATES):
                    rates = [*self.rates]
                    rates[group] += change
                    yield replace(self, rates=(rates[0], rates[1], rates[2]))
            if 0 <= self.linear + change < len(_LINEAR):
                yield replace(self, linear=self.linear + change)
            if 0 <= self.noise + change < len(_NOISES):
                yield replace(self, noise=self.noise + change)


def covariance(distances: Floats, setting: Setting) -> Floats:
    """Return the kernel, `(n, m)`, of distances `(3, n, m)`; 1 at distance 0."""
    scaled = [_RATES[place] * d for place, d in zip(setting.rates, distances, strict=True)]
    share = _LINEAR[setting.linear]
    product = np.exp(-np.sum(scaled, axis=0))
    if share == 0.0:
        return np.asarray(product)
    return np.asarray((1.0 - share) * product + share * (1.0 - 0.5 * (distances[0] + distances[1])))


def factor(distances: Floats, setting: Setting, errors: Floats) -> Floats:
    """Return the lower Cholesky factor of the covariance of observations, `(n, n)`; `errors` are variances, `(n,)`."""
    matrix = covariance(distances, setting)
    matrix[np.diag_indices_from(matrix)] += setting.noise_variance + errors
    return np.asarray(cholesky(matrix, lower=True, check_finite=False, overwrite_a=True))


def signal_variance(white: Floats) -> float:
    """Return the variance that the whitened targets `(n,)` speak for."""
    return float((white @ white + _STRENGTH) / (len(white) + _STRENGTH))


def evidence(distances: Floats, targets: Floats, errors: Floats, setting: Setting) -> float:
    """Return the log posterior of a setting given targets `(n,)`, up to a constant; minus infinity if impossible."""
    try:
        lower = factor(distances, setting, errors)
    except LinAlgError:
        return -np.inf
    white = solve_triangular(lower, targets, lower=True, check_finite=False)
    fit = -0.5 * (len(targets) + _STRENGTH) * np.log(signal_variance(white))
    return float(fit - np.log(np.diag(lower)).sum() + setting.log_prior)


def tuned(distances: Floats, targets: Floats, errors: Floats, start: Setting, sweeps: int) -> Setting:
    """Return the best setting found from `start` by at most `sweeps` steps, each to the best neighbour."""
    best, found = evidence(distances, targets, errors, start), start
    for _ in range(sweeps):
        steps = [(evidence(distances, targets, errors, step), step) for step in found.steps()]
        better, step = max(steps, key=lambda pair: pair[0])
        if better <= best + 1e-9:
            break
        best, found = better, step
    return found
