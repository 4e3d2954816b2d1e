"""Noise and scores: how much one architecture's loss scatters over seeds, and what its mean is worth.

Pure. Losses are in nats, lower is better. Seeds are the unit of replication: one seed says nothing of its own noise,
which then comes from the noise floor, the pooled spread over seeds of candidates trained more than once (the
baselines, above all). Claims are made by `comparisons`, choices by `selection`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from netwright.types import Interval, Score, Split, Trial, TrialStatus


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """Standard deviation over seeds of one candidate's loss, in nats, and how well it is known."""

    sd_nats: float
    degrees_of_freedom: int


@dataclass(frozen=True)
class Variance:
    """A variance of one loss (or of one paired difference) with its degrees of freedom."""

    value: float
    freedom: float
    borrowed: bool


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, Interval]:
    """Mean of independent values with its t interval at `level`.

    Raises:
        ValueError: fewer than two values, or a level outside (0, 1).

    Source: Student (1908), Biometrika 6:1; mean +- t(1 - alpha/2, n - 1) s / sqrt(n).
    """
    if len(values) < 2:
        raise ValueError(f"an interval needs at least 2 values, got {len(values)}")
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, t_interval(mean, error, len(values) - 1, level)


def noise_floor(trials: Iterable[Trial]) -> NoiseFloor | None:
    """Pool the spread over seeds within each candidate; None where no candidate was trained twice.

    Give trials of one rung: noise differs between rungs. Groups are (candidate, task, split, rung, rate), so
    that trials of several rungs are pooled but never mixed.

    Source: pooled variance, sum (n_i - 1) s_i^2 / sum (n_i - 1); Snedecor & Cochran, Statistical Methods, ch.
    6.
    """
    groups: dict[tuple[str, str, Split, int, float], dict[int, float]] = defaultdict(dict)
    for trial in trials:
        if trial.status is TrialStatus.DONE and trial.loss_nats is not None:
            key = (trial.candidate_id, trial.task_id, trial.split, trial.rung, trial.rate)
            groups[key][trial.seed] = trial.loss_nats
    repeated = [list(losses.values()) for losses in groups.values() if len(losses) >= 2]
    freedom = sum(len(losses) - 1 for losses in repeated)
    if freedom == 0:
        return None
    squares = sum((len(losses) - 1) * float(np.var(losses, ddof=1)) for losses in repeated)
    return NoiseFloor(sd_nats=math.sqrt(squares / freedom), degrees_of_freedom=freedom)


def score_of(trials: Sequence[Trial], noise: NoiseFloor | None) -> Score | None:
    """Score a candidate at the highest rung with a validation result; None where there is none.

    The standard error is s / sqrt(n), where s^2 pools the candidate's own seeds with the noise floor. Where
    neither exists it is the trial's sampling error over rows (0 where that is unknown too): a lower bound.
    """
    done = losses_of(trials, Split.VALIDATION)
    if not done:
        return None
    rung = max(done)
    losses = list(done[rung].values())
    variance = pooled(sum_of_squares(losses), len(losses) - 1, noise)
    error = math.sqrt(variance.value / len(losses)) if variance else _row_error(trials, rung)
    return Score(value=-float(np.mean(losses)), standard_error=error, rung=rung, seeds=len(losses))


def t_interval(mean: float, error: float, freedom: float, level: float) -> Interval:
    """The interval `mean` +- t(1 - alpha/2, freedom) `error`.

    Raises:
        ValueError: a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"the level of an interval lies between 0 and 1, got {level}")
    from scipy.special import stdtrit

    half = float(stdtrit(freedom, 0.5 + level / 2.0)) * error
    return Interval(low=mean - half, high=mean + half, level=level)


def pooled(squares: float, freedom: int, noise: NoiseFloor | None) -> Variance | None:
    """Pool own sum of squares with the noise floor: (v0 s0^2 + SS) / (v0 + v).

    A few seeds alone give variances that are tiny by chance; the floor guards against that. But where the own
    spread is larger than the floor explains (F test at 5%), the candidate is noisier than others and its own
    variance stands alone.

    Source: the posterior scale under a scaled-inverse-chi-square prior, Gelman et al., Bayesian Data
    Analysis, section 2.6; preliminary F test as in Bancroft (1944), Ann. Math. Statist. 15:190.
    """
    if noise is None:
        return Variance(squares / freedom, freedom, borrowed=False) if freedom > 0 else None
    prior = noise.degrees_of_freedom * noise.sd_nats**2
    if freedom > 0 and squares / freedom > noise.sd_nats**2 * _f_bound(freedom, noise.degrees_of_freedom):
        return Variance(squares / freedom, freedom, borrowed=False)
    total = noise.degrees_of_freedom + freedom
    return Variance((prior + squares) / total, total, borrowed=True)


def _f_bound(freedom: int, noise_freedom: int) -> float:
    from scipy.special import fdtri

    return float(fdtri(freedom, noise_freedom, 0.95))


def sum_of_squares(values: Sequence[float]) -> float:
    """Squares of the distances from the mean, summed."""
    return float(np.sum((np.asarray(values) - np.mean(values)) ** 2))


def losses_of(trials: Sequence[Trial], split: Split) -> dict[int, dict[int, float]]:
    """Losses of finished trials by rung and seed; the last of equal seeds counts."""
    losses: dict[int, dict[int, float]] = defaultdict(dict)
    for trial in trials:
        if trial.status is TrialStatus.DONE and trial.loss_nats is not None and trial.split is split:
            losses[trial.rung][trial.seed] = trial.loss_nats
    return losses


def _row_error(trials: Sequence[Trial], rung: int) -> float:
    errors = [
        trial.loss_standard_error
        for trial in trials
        if trial.rung == rung and trial.split is Split.VALIDATION and trial.loss_standard_error is not None
    ]
    return errors[-1] if errors else 0.0
