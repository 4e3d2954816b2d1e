"""From which trials the report's numbers come; the statistics are the evaluator's. Losses in nats per token."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from netwright.evaluator.comparisons import Comparison, claims, compare_all
from netwright.evaluator.statistics import NoiseFloor, mean_interval, noise_floor
from netwright.sandbox.isolation import Tier
from netwright.types import Interval, Split, Trial, TrialStatus

NATS_PER_BIT = math.log(2.0)

Measurements = Mapping[str, Mapping[int, float]]
"""Mean validation loss by candidate id, then rung."""


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """Results on the locked test split: mean and t interval over seeds (None with one seed).

    `rate` is the factor on its recipe's learning rate that the candidate was confirmed with.
    """

    candidate_id: str
    rung: int
    loss_nats: float
    interval: Interval | None
    seeds: tuple[int, ...]
    rate: float
    not_isolated: bool


def _losses(trials: Iterable[Trial]) -> list[float]:
    return [trial.loss_nats for trial in trials if trial.loss_nats is not None]


def first_noise(baselines: Iterable[str], trials: Iterable[Trial]) -> NoiseFloor | None:
    """The noise that the campaign's critic judges by: that of the baselines' first trainings."""
    known = set(baselines)
    return noise_floor(
        trial for trial in trials if trial.candidate_id in known and (trial.split, trial.rung) == (Split.VALIDATION, 0)
    )


def on_validation(candidate_id: str, baselines: Sequence[str], trials: Iterable[Trial]) -> dict[str, Comparison]:
    """Compare with each baseline at their highest common rung, hardest rival first; none in common: left out."""
    runs = _by_candidate(trial for trial in trials if trial.split is Split.VALIDATION)
    noise = first_noise(baselines, trials)
    rivals = {rival: runs[rival] for rival in baselines if rival != candidate_id}
    return _hardest_first(compare_all(runs[candidate_id], rivals, noise))


def on_test(candidate_id: str, rivals: Sequence[str], rung: int, trials: Iterable[Trial]) -> dict[str, Comparison]:
    """What `netwright confirm` says of the candidate: `claims` from the locked trials; `rivals` as it chose them."""
    runs = _by_candidate(trial for trial in trials if (trial.split, trial.rung) == (Split.TEST, rung))
    return _hardest_first(claims(runs[candidate_id], {rival: runs[rival] for rival in rivals if rival != candidate_id}))


def _by_candidate(trials: Iterable[Trial]) -> defaultdict[str, list[Trial]]:
    runs: defaultdict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        runs[trial.candidate_id].append(trial)
    return runs


def _hardest_first(found: Mapping[str, Comparison]) -> dict[str, Comparison]:
    deltas = {rival: each.delta_nats for rival, each in found.items() if each.delta_nats is not None}
    return {rival: found[rival] for rival in sorted(deltas, key=deltas.__getitem__, reverse=True)}


def confirmed(trials: Iterable[Trial]) -> list[Confirmed]:
    """Candidates with finished trials on the test split, at the highest rung of those, best first."""
    groups: dict[tuple[str, int], list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.status is TrialStatus.DONE and trial.split is Split.TEST:
            groups[trial.candidate_id, trial.rung].append(trial)
    if not groups:
        return []
    rung = max(rung for _, rung in groups)
    found = [_confirmed(candidate, rung, runs) for (candidate, each), runs in groups.items() if each == rung]
    return sorted(found, key=lambda each: each.loss_nats)


def _confirmed(candidate_id: str, rung: int, trials: Sequence[Trial]) -> Confirmed:
    losses = _losses(trials)
    mean, interval = mean_interval(losses) if len(losses) > 1 else (losses[0], None)
    seeds = tuple(sorted(trial.seed for trial in trials))
    return Confirmed(
        candidate_id=candidate_id,
        rung=rung,
        loss_nats=mean,
        interval=interval,
        seeds=seeds,
        rate=trials[0].rate,
        not_isolated=any(trial.usage.tier == Tier.T0 for trial in trials),
    )
