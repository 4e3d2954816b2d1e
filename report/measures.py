"""What the report says in numbers and words: means, intervals, who beat whom. Pure; losses in nats per token."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from netwright.types import Interval, Outcome, Score, Split, Trial, TrialStatus

LEVEL = 0.95
NATS_PER_BIT = math.log(2.0)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The mean validation loss of one candidate at one rung with its standard error (None: not known)."""

    loss_nats: float
    standard_error: float | None
    seeds: int
    rung: int

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % interval, from the standard error as a normal distribution."""
        return None if self.standard_error is None else 1.959964 * self.standard_error


Measurements = Mapping[str, Mapping[int, Measured]]
"""By candidate id, then rung."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`delta_nats` is candidate minus rival, so negative is better."""

    rival_id: str
    rung: int
    delta_nats: float
    interval: Interval | None
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """Results on the locked test split: mean and Student interval over seeds (None with one seed)."""

    candidate_id: str
    rung: int
    loss_nats: float
    interval: Interval | None
    seeds: tuple[int, ...]


def measure(trials: Iterable[Trial], scores: Mapping[tuple[str, int], Score]) -> Measurements:
    """Means over the finished validation trials; the standard error is the score's where there is one."""
    groups: dict[str, dict[int, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        if trial.status is TrialStatus.DONE and trial.split is Split.VALIDATION:
            groups[trial.candidate_id][trial.rung].append(trial)
    return {
        candidate: {rung: _measured(rung, runs, scores.get((candidate, rung))) for rung, runs in rungs.items()}
        for candidate, rungs in groups.items()
    }


def _measured(rung: int, trials: Sequence[Trial], score: Score | None) -> Measured:
    losses = _losses(trials)
    error: float | None
    if score is not None:
        error = score.standard_error
    elif len(losses) > 1:
        error = statistics.stdev(losses) / math.sqrt(len(losses))
    else:
        error = trials[0].loss_standard_error
    return Measured(loss_nats=statistics.fmean(losses), standard_error=error, seeds=len(losses), rung=rung)


def _losses(trials: Iterable[Trial]) -> list[float]:
    return [trial.loss_nats for trial in trials if trial.loss_nats is not None]


def highest(rungs: Mapping[int, Measured]) -> Measured:
    """The measurement at the highest rung."""
    return rungs[max(rungs)]


def against(candidate_id: str, rivals: Iterable[str], measurements: Measurements) -> list[Comparison]:
    """Compare at the highest rung at which both were trained; rivals without a common rung are left out."""
    mine = measurements.get(candidate_id, {})
    found = []
    for rival in rivals:
        common = mine.keys() & measurements.get(rival, {}).keys()
        if rival != candidate_id and common:
            rung = max(common)
            found.append(_compare(rival, mine[rung], measurements[rival][rung]))
    return sorted(found, key=lambda comparison: -comparison.delta_nats)


def _compare(rival_id: str, mine: Measured, rival: Measured) -> Comparison:
    delta = mine.loss_nats - rival.loss_nats
    interval = None
    if mine.standard_error is not None and rival.standard_error is not None:
        half = 1.959964 * math.hypot(mine.standard_error, rival.standard_error)
        interval = Interval(low=delta - half, high=delta + half, level=LEVEL)
    return Comparison(
        rival_id=rival_id, rung=mine.rung, delta_nats=delta, interval=interval, outcome=outcome_of(interval)
    )


def outcome_of(interval: Interval | None) -> Outcome:
    """Better or worse only where the whole interval says so."""
    if interval is not None and interval.high < 0:
        return Outcome.BETTER
    if interval is not None and interval.low > 0:
        return Outcome.WORSE
    return Outcome.NO_DIFFERENCE


def confirmed(trials: Iterable[Trial]) -> list[Confirmed]:
    """Candidates with finished trials on the test split, at the highest rung of those, best first."""
    groups: dict[tuple[str, int], list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.status is TrialStatus.DONE and trial.split is Split.TEST:
            groups[trial.candidate_id, trial.rung].append(trial)
    if not groups:
        return []
    rung = max(rung for _, rung in groups)
    found = [
        Confirmed(
            candidate_id=candidate,
            rung=rung,
            loss_nats=statistics.fmean(_losses(runs)),
            interval=student_interval(_losses(runs)),
            seeds=tuple(sorted(trial.seed for trial in runs)),
        )
        for (candidate, each), runs in groups.items()
        if each == rung
    ]
    return sorted(found, key=lambda each: each.loss_nats)


def paired(candidate_id: str, rival_id: str, rung: int, trials: Iterable[Trial]) -> Comparison | None:
    """Candidate minus rival on the test split, paired by seed; None without a common seed."""
    runs: dict[str, dict[int, float]] = {candidate_id: {}, rival_id: {}}
    for trial in trials:
        known = trial.split is Split.TEST and trial.rung == rung and trial.candidate_id in runs
        if known and trial.loss_nats is not None:
            runs[trial.candidate_id][trial.seed] = trial.loss_nats
    mine, rival = runs[candidate_id], runs[rival_id]
    deltas = [mine[seed] - rival[seed] for seed in sorted(mine.keys() & rival.keys())]
    if not deltas:
        return None
    interval = student_interval(deltas)
    return Comparison(
        rival_id=rival_id,
        rung=rung,
        delta_nats=statistics.fmean(deltas),
        interval=interval,
        outcome=outcome_of(interval),
    )


def student_interval(values: Sequence[float]) -> Interval | None:
    """The two-sided 95 % interval of a mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean = statistics.fmean(values)
    quantile = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2))
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(low=mean - half, high=mean + half, level=LEVEL)
