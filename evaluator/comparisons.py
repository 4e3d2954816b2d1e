"""Comparisons: candidate against rival, one or many at once, with intervals and corrected outcomes.

Pure. A difference is candidate minus rival in nats, so negative is better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from netwright.evaluator.repetition import doubt
from netwright.evaluator.statistics import NoiseFloor, Variance, losses_of, pooled, sum_of_squares, t_interval
from netwright.types import Interval, Outcome, Split, Trial, TrialStatus


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidate against rival: `delta_nats` is the difference of mean losses, negative where better.

    Where there is no estimate of noise at all, `interval` and `p_value` are None, the outcome is
    NO_DIFFERENCE, and `reason` says why. `seeds` are those of the candidate, `rival_seeds` of the rival; in a
    paired comparison only common seeds count. `borrowed_noise` tells that the noise floor took part.
    """

    delta_nats: float | None
    interval: Interval | None
    outcome: Outcome
    seeds: int
    rival_seeds: int
    paired: bool
    rung: int | None = None
    standard_error: float | None = None
    degrees_of_freedom: float | None = None
    p_value: float | None = None
    borrowed_noise: bool = False
    reason: str = ""


def compare(
    candidate: Sequence[Trial], rival: Sequence[Trial], noise: NoiseFloor | None, level: float = 0.95
) -> Comparison:
    """Compare mean losses at the highest rung where both have results on the same split.

    With at least two common seeds the differences are paired by seed; otherwise means are compared, by a
    pooled variance where a noise floor exists and by Welch's test where not. The outcome is BETTER or WORSE
    only where the interval at `level` excludes zero.

    Raises:
        ValueError: the trials are of different tasks, or of a locked and an open split at once.

    Source: Student (1908) for pairs; Welch (1947), Biometrika 34:28, with Satterthwaite's degrees of freedom.
    """
    split = _common_split([*candidate, *rival])
    ours, theirs = losses_of(candidate, split), losses_of(rival, split)
    common = sorted(set(ours) & set(theirs))
    if not common:
        return _undecided(0, 0, None, "the two have no result at the same rung")
    rung = common[-1]
    first, second = ours[rung], theirs[rung]
    seeds = sorted(set(first) & set(second))
    if len(seeds) >= 2:
        differences = [first[seed] - second[seed] for seed in seeds]
        return _paired(differences, noise, rung, level)
    return _unpaired(list(first.values()), list(second.values()), noise, rung, level)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for testing all at once, in the given order; controls the family-wise error strongly.

    Source: Holm (1979), Scand. J. Statist. 6:65; p(k) = max over j <= k of min(1, (m - j + 1) p(j)).
    """
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = worst
    return adjusted


def adjusted(comparisons: Sequence[Comparison], level: float = 0.95) -> list[Comparison]:
    """Redo the outcomes of many comparisons made at once, so that one false difference among all is rare.

    Each p value is Holm's; each interval is drawn at the level of Holm's step for it, so that it excludes
    zero exactly where the outcome is a difference. Comparisons without a p value stay as they are.
    """
    tested = sorted(
        (place for place, item in enumerate(comparisons) if item.p_value is not None),
        key=lambda place: comparisons[place].p_value or 0.0,
    )
    p_values = holm([comparisons[place].p_value or 0.0 for place in tested])
    result = list(comparisons)
    alpha = 1.0 - level
    rejecting = True
    step_alpha = alpha
    for rank, (place, p_value) in enumerate(zip(tested, p_values, strict=True)):
        if rejecting:
            step_alpha = alpha / (len(tested) - rank)
        rejecting = rejecting and p_value <= alpha
        result[place] = _at_step(comparisons[place], 1.0 - step_alpha, p_value, rejecting)
    return result


def compare_all(
    candidate: Sequence[Trial],
    rivals: Mapping[str, Sequence[Trial]],
    noise: NoiseFloor | None,
    level: float = 0.95,
) -> dict[str, Comparison]:
    """Compare with every rival at once: each by `compare`, all outcomes then by `adjusted`; keys as in `rivals`.

    Whatever makes several claims about one candidate makes them by this function, so that they agree.

    Raises:
        ValueError: as `compare`.
    """
    single = [compare(candidate, trials, noise, level) for trials in rivals.values()]
    return dict(zip(rivals, adjusted(single, level), strict=True))


def claims(
    candidate: Sequence[Trial], rivals: Mapping[str, Sequence[Trial]], level: float = 0.95
) -> dict[str, Comparison]:
    """What a confirmation may claim: paired by seed, no noise borrowed, corrected for the number of rivals.

    Noise differs between architectures, so a floor pooled over them would promise too much for the noisy ones. A
    candidate is never better if it failed on any of its seeds, as the seeds that are left were not chosen by
    chance, or if a repetition of one of its trials (`Trial.repeat`) came to something else.
    """
    firsts = [trial for trial in candidate if not trial.repeat]
    found = compare_all(
        firsts, {rival: [t for t in trials if not t.repeat] for rival, trials in rivals.items()}, None, level
    )
    failed = sum(trial.status is not TrialStatus.DONE for trial in firsts)
    reason = f"it failed on {failed} of {len(firsts)} seeds" if failed else doubt(candidate)
    if not reason:
        return found
    return {
        rival: replace(each, outcome=Outcome.NO_DIFFERENCE, reason=reason) if each.outcome is Outcome.BETTER else each
        for rival, each in found.items()
    }


def _at_step(comparison: Comparison, level: float, p_value: float, rejected: bool) -> Comparison:
    delta, error = comparison.delta_nats, comparison.standard_error
    freedom = comparison.degrees_of_freedom
    if delta is None or error is None or freedom is None:
        return comparison
    outcome = (Outcome.BETTER if delta < 0 else Outcome.WORSE) if rejected else Outcome.NO_DIFFERENCE
    interval = t_interval(delta, error, freedom, level)
    return replace(comparison, interval=interval, p_value=p_value, outcome=outcome)


def _paired(differences: list[float], noise: NoiseFloor | None, rung: int, level: float) -> Comparison:
    """Compare by the differences seed by seed; two unrelated runs differ with twice the variance of one."""
    count = len(differences)
    doubled = noise and NoiseFloor(sd_nats=math.sqrt(2.0) * noise.sd_nats, degrees_of_freedom=noise.degrees_of_freedom)
    variance = pooled(sum_of_squares(differences), count - 1, doubled)
    assert variance is not None  # two differences always have a variance
    error = math.sqrt(variance.value / count)
    mean = float(np.mean(differences))
    return _decided(mean, error, variance, level, rung=rung, seeds=count, rival_seeds=count, paired=True)


def _unpaired(first: list[float], second: list[float], noise: NoiseFloor | None, rung: int, level: float) -> Comparison:
    n, m = len(first), len(second)
    delta = float(np.mean(first)) - float(np.mean(second))
    if noise is None and min(n, m) >= 2:
        error, variance = _welch(first, second)
    else:
        squares = sum_of_squares(first) + sum_of_squares(second)
        own = pooled(squares, n + m - 2, noise)
        if own is None:
            return replace(
                _undecided(n, m, rung, "one seed each and no noise floor: the noise is unknown"),
                delta_nats=delta,
            )
        error, variance = math.sqrt(own.value * (1.0 / n + 1.0 / m)), own
    return _decided(delta, error, variance, level, rung=rung, seeds=n, rival_seeds=m, paired=False)


def _welch(first: list[float], second: list[float]) -> tuple[float, Variance]:
    """Return the standard error of the difference of means with Satterthwaite's degrees of freedom."""
    a, b = float(np.var(first, ddof=1)) / len(first), float(np.var(second, ddof=1)) / len(second)
    spread = a * a / (len(first) - 1) + b * b / (len(second) - 1)
    freedom = (a + b) ** 2 / spread if spread > 0.0 else float(len(first) + len(second) - 2)
    return math.sqrt(a + b), Variance(a + b, freedom, borrowed=False)


def _decided(
    delta: float,
    error: float,
    variance: Variance,
    level: float,
    *,
    rung: int,
    seeds: int,
    rival_seeds: int,
    paired: bool,
) -> Comparison:
    interval = t_interval(delta, error, variance.freedom, level)
    outcome = Outcome.NO_DIFFERENCE
    if interval.high < 0.0:
        outcome = Outcome.BETTER
    elif interval.low > 0.0:
        outcome = Outcome.WORSE
    return Comparison(
        delta_nats=delta,
        interval=interval,
        outcome=outcome,
        seeds=seeds,
        rival_seeds=rival_seeds,
        paired=paired,
        rung=rung,
        standard_error=error,
        degrees_of_freedom=variance.freedom,
        p_value=_two_sided(delta, error, variance.freedom),
        borrowed_noise=variance.borrowed,
    )


def _undecided(seeds: int, rival_seeds: int, rung: int | None, reason: str) -> Comparison:
    return Comparison(
        delta_nats=None,
        interval=None,
        outcome=Outcome.NO_DIFFERENCE,
        seeds=seeds,
        rival_seeds=rival_seeds,
        paired=False,
        rung=rung,
        reason=reason,
    )


def _two_sided(delta: float, error: float, freedom: float) -> float:
    from scipy.special import stdtr

    if error == 0.0:
        return 1.0 if delta == 0.0 else 0.0
    return min(1.0, 2.0 * float(stdtr(freedom, -abs(delta) / error)))


def _common_split(trials: Sequence[Trial]) -> Split:
    if len({trial.task_id for trial in trials}) > 1:
        raise ValueError("only trials of one task can be compared: " + ", ".join({t.task_id for t in trials}))
    splits = {trial.split for trial in trials}
    if len(splits) > 1:
        raise ValueError("only trials of one split can be compared, got validation and test")
    return splits.pop() if splits else Split.VALIDATION
