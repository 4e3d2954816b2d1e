"""What `fidelity.py` computes from losses: rank correlations with intervals, seed noise, and mixtures of tasks.

Pure. Losses are arrays (..., architectures, seeds), lower is better: inf where a training failed, nan where there was
none. Scores are the other way round: higher is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]
LEVEL = 0.95
RESAMPLES = 2000
FEWEST = 4
"""Architectures below which no correlation is computed."""
LARGEST_MIXTURE = 4


@dataclass(frozen=True)
class Estimate:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How the short rung ranks architectures as the long one does, and how much of the rest is the noise of seeds.

    `kept` are the shares of the long rung's best third that are in the short rung's best third, and best half: what
    successive halving by the short rung would keep of the best. `between_seeds` are the mean rho between two seeds at
    the short and the long rung, None with a single seed.
    `ceiling` is the rho that two rungs would have which agree but for the seeds.
    """

    architectures: int
    rho: Estimate
    tau: Estimate
    kept: tuple[float, float]
    between_seeds: tuple[float | None, float | None]
    ceiling: float | None

    @property
    def share_of_seeds(self) -> float | None:
        """What share of rho's distance from 1 the seeds explain, at most 1."""
        if self.ceiling is None:
            return None
        return 1.0 if self.rho.value >= self.ceiling else (1 - self.ceiling) / (1 - self.rho.value)


@dataclass(frozen=True)
class Mixture:
    """Tasks (their places), rho of their scores with what they should predict, and what one architecture costs."""

    tasks: tuple[int, ...]
    rho: float
    core_seconds: float


def spearman(x: Values, y: Values) -> float:
    """Return the correlation of ranks, ties sharing theirs; 0 where either ranks nothing. Source: Spearman (1904)."""
    a, b = stats.rankdata(x), stats.rankdata(y)
    return 0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else float(np.corrcoef(a, b)[0, 1])


def kendall(x: Values, y: Values) -> float:
    """Return tau-b; 0 where either ranks nothing. Source: Kendall (1945), Biometrika 33:239."""
    a, b = stats.rankdata(x), stats.rankdata(y)
    return 0.0 if np.ptp(a) == 0 or np.ptp(b) == 0 else float(stats.kendalltau(a, b).statistic)


def kept(short: Values, long: Values, share: float) -> float:
    """Return what part of the best third by `long` is in the best `share` by `short`; losses (A,), lower is better."""
    best = np.argsort(long, kind="stable")[: max(1, round(len(long) / 3))]
    chosen = np.argsort(short, kind="stable")[: max(1, round(len(short) * share))]
    return len(set(best.tolist()) & set(chosen.tolist())) / len(best)


def estimate(statistic: Callable[..., float], *samples: Values) -> Estimate:
    """Return the statistic of samples (A,) with the percentile interval over resampled architectures.

    All samples are resampled alike, and the same every time.
    """
    found = stats.bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(statistic(*samples), float(found.low), float(found.high))


def seed_mean(losses: Values) -> Values:
    """Return means over seeds (..., A): inf where a seed failed, nan where no seed was trained."""
    counts = (~np.isnan(losses)).sum(-1)
    sums = np.where(np.isnan(losses), 0.0, losses).sum(-1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def spread_of(losses: Values) -> float:
    """Return the standard deviation of the finite losses; 1 where that is not above 0."""
    finite = losses[np.isfinite(losses)]
    spread = float(finite.std(ddof=1)) if len(finite) > 1 else 0.0
    return spread if spread > 0 else 1.0


def score(losses: Values, reference: float, spread: float) -> Values:
    """Return tanh((reference - loss) / spread), any shape: 0 as the reference, -1 where the training failed."""
    return np.asarray(np.tanh((reference - losses) / spread), dtype=np.float64)


def between_seeds(values: Values) -> float | None:
    """Return the mean rho over all pairs of seeds of values (A, S); None where no pair shares enough architectures."""
    found = []
    for first, second in combinations(values.T, 2):
        both = ~(np.isnan(first) | np.isnan(second))
        if both.sum() >= FEWEST:
            found.append(spearman(first[both], second[both]))
    return float(np.mean(found)) if found else None


def reliability(rho: float, seeds: float) -> float:
    """Return what rho between two seeds becomes between two means of so many seeds; at least 0.

    Source: Spearman (1910) and Brown (1910), Br. J. Psychol. 3: r_n = n r / (1 + (n - 1) r).
    """
    rho = max(rho, 0.0)
    return seeds * rho / (1 + (seeds - 1) * rho)


def ceiling(short: Values, long: Values) -> float | None:
    """Return the rho of seed means (A, S) that agree but for the seeds: sqrt(r_short r_long).

    Source: Spearman (1904), attenuation; exact for Pearson's correlation, close for ranks.
    """
    rhos = [between_seeds(values) for values in (short, long)]
    seeds = [float((~np.isnan(values)).sum(-1).mean()) for values in (short, long)]
    parts = [reliability(rho, count) for rho, count in zip(rhos, seeds, strict=True) if rho is not None]
    return math.sqrt(parts[0] * parts[1]) if len(parts) == 2 else None


def agreement(short: Values, long: Values) -> Agreement | None:
    """Compare losses (A, S) of both rungs; None where too few have been trained at both."""
    x, y = seed_mean(short), seed_mean(long)
    both = ~(np.isnan(x) | np.isnan(y))
    if both.sum() < FEWEST:
        return None
    short, long, x, y = short[both], long[both], x[both], y[both]
    return Agreement(
        architectures=int(both.sum()),
        rho=estimate(spearman, x, y),
        tau=estimate(kendall, x, y),
        kept=(kept(x, y, 1 / 3), kept(x, y, 1 / 2)),
        between_seeds=(between_seeds(short), between_seeds(long)),
        ceiling=ceiling(short, long),
    )


def mixtures(scores: Values, target: Values, core_seconds: Sequence[float]) -> Iterator[Mixture]:
    """Yield every mixture of up to four tasks: how the mean of their scores (K, A) ranks as `target` (A,) does."""
    for size in range(1, LARGEST_MIXTURE + 1):
        for tasks in combinations(range(len(scores)), size):
            rho = spearman(scores[list(tasks)].mean(0), target)
            yield Mixture(tasks, rho, sum(core_seconds[task] for task in tasks))


def frontier(found: Sequence[Mixture]) -> list[Mixture]:
    """Return, cheapest first, the mixtures with a rho above 0 and above that of every cheaper one."""
    kept: list[Mixture] = []
    for mixture in sorted(found, key=lambda each: (each.core_seconds, -each.rho)):
        if mixture.rho > (kept[-1].rho if kept else 0.0):
            kept.append(mixture)
    return kept
