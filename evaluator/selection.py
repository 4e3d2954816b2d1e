"""Choosing among many noisy results and claiming many at once: two corrections against the winner's curse.

    claims_over   which of many "better than its rival" may be said together
    shrunken      what each of many designs is likely worth, given how far they differ and how noisy each result is

Pure. A single experiment's verdict is another matter: the search learns from it as it stands.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from netwright.types import Outcome, Score, Verdict

FALSE_DISCOVERY_RATE = 0.05
FEWEST_TO_SHRINK = 4
"""With fewer results nothing can be learned of how far designs differ (James-Stein needs three degrees of freedom)."""
Key = TypeVar("Key", bound=Hashable)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """What is believed of a design's loss after all results: mean and standard deviation, nats."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Claims:
    """Nodes whose "better" holds among all comparisons; how many were called better alone, and how many compared."""

    better: frozenset[int]
    alone: int
    compared: int

    @property
    def sentence(self) -> str:
        """What may be said of all of them together."""
        return (
            f"better than their rival: {len(self.better)} of {self.compared} designs compared, at a false "
            f"discovery rate of {FALSE_DISCOVERY_RATE:.0%} over all of them ({self.alone} by their comparison alone)"
        )


def claims_over(verdicts: Mapping[int, Verdict]) -> Claims:
    """What the verdicts of a campaign, by node, may claim together; see `discoveries`."""
    alone = sum(verdict.outcome is Outcome.BETTER for verdict in verdicts.values())
    return Claims(discoveries(verdicts), alone, sum(_p_value(verdict) is not None for verdict in verdicts.values()))


def discoveries(verdicts: Mapping[Key, Verdict], rate: float = FALSE_DISCOVERY_RATE) -> frozenset[Key]:
    """Return whose "better" holds among all these comparisons: of those named, an expected share of `rate` is false.

    The family is every verdict that rests on a test, whatever its outcome. A verdict without a p value, of a memory
    that kept none, counts with the most that its interval allows. The p values may depend on each other as those
    against a common rival do.

    Source: Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57:289; two-sided tests with a direction: Benjamini &
    Yekutieli (2005), J. Am. Stat. Assoc. 100:71.
    """
    p_values = {key: value for key, verdict in verdicts.items() if (value := _p_value(verdict)) is not None}
    if not any(verdicts[key].outcome is Outcome.BETTER for key in p_values):
        return frozenset()
    from scipy.stats import false_discovery_control

    adjusted = false_discovery_control(list(p_values.values()))
    return frozenset(
        key
        for key, p_value in zip(p_values, adjusted, strict=True)
        if p_value <= rate and verdicts[key].outcome is Outcome.BETTER
    )


def _p_value(verdict: Verdict) -> float | None:
    if verdict.p_value is not None or verdict.interval is None:
        return verdict.p_value
    return 1.0 if verdict.outcome is Outcome.NO_DIFFERENCE else round(1.0 - verdict.interval.level, 9)


def shrunken(losses: Sequence[float], errors: Sequence[float]) -> list[Estimate]:
    """Draw each loss y_i, with standard error s_i, towards the mean of all, as far as noise explains its distance.

    y_i ~ N(t_i, s_i^2) and t_i ~ N(m, A) give the posterior mean y_i - B_i (y_i - m) with
    B_i = (n - 3) / (n - 1) s_i^2 / (s_i^2 + A); for equal errors it is the James-Stein estimator. m is the weighted
    mean, A solves sum (y_i - m)^2 / (s_i^2 + A) = n - 1 (0 where noise explains everything). With w_i = 1 / (s_i^2 + A)
    the variance is s_i^2 (1 - B_i (1 - w_i / sum w)) + 2 B_i^2 (y_i - m)^2 / (n - 3): that A and m are estimates
    is in it. Give results of one rung. Fewer than four stay as they are.

    Source: Efron & Morris (1973), J. Am. Stat. Assoc. 68:117, and (1975), 70:311; A: Carter & Rolph (1974), 69:880;
    factor and variance: Morris (1983), 78:47, there for equal errors.
    """
    values, count = np.asarray(losses, dtype=float), len(losses)
    if count < FEWEST_TO_SHRINK or np.ptp(values) == 0.0:
        return [Estimate(float(value), float(error)) for value, error in zip(losses, errors, strict=True)]
    # A result without any error is taken as almost certain, so that no weight is infinite.
    variances = np.maximum(np.square(np.asarray(errors, dtype=float)), 1e-12 * values.var())
    between = _variance_between(values, variances)
    weights = 1.0 / (variances + between)
    distances = values - np.average(values, weights=weights)
    share = (count - 3) / (count - 1) * variances * weights
    known = variances * (1.0 - share * (1.0 - weights / weights.sum()))
    sds = np.sqrt(known + 2.0 / (count - 3) * (share * distances) ** 2)
    return [Estimate(float(mean), float(sd)) for mean, sd in zip(values - share * distances, sds, strict=True)]


def _variance_between(values: Floats, variances: Floats) -> float:
    """The variance between designs that makes the weighted squares as large as expected, at least 0."""
    from scipy.optimize import brentq

    def excess(between: float) -> float:
        weights = 1.0 / (variances + between)
        centre = np.average(values, weights=weights)
        return float(np.sum(weights * (values - centre) ** 2)) - (len(values) - 1)

    if excess(0.0) <= 0.0:
        return 0.0
    return float(brentq(excess, 0.0, float(np.var(values, ddof=1))))


def by_expected_loss(scores: Mapping[Key, Score]) -> dict[Key, Estimate]:
    """Designs at the highest rung that any of them reached, the best expected loss first; ties as they came."""
    top = max((score.rung for score in scores.values()), default=0)
    ranked = {key: score for key, score in scores.items() if score.rung == top}
    estimates = shrunken(
        [-score.value for score in ranked.values()], [score.standard_error for score in ranked.values()]
    )
    found = dict(zip(ranked, estimates, strict=True))
    return {key: found[key] for key in sorted(found, key=lambda key: found[key].mean)}
