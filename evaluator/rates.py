"""Which learning rate a finalist is compared at: the best of a small sweep that is the same for everybody.

    factors x sweep seeds ──▶ trials on the validation split ──▶ the factor with the lowest mean loss

Pure. One recipe for all favours the architectures that it happens to suit; a sweep that only some get favours those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from netwright.types import Trial, TrialStatus


@dataclass(frozen=True)
class ChosenRate:
    """The factor on its recipe's learning rate that a candidate takes.

    `losses` are mean validation losses by factor; `left_out` says why the other factors have none.
    """

    candidate_id: str
    rate: float
    losses: dict[float, float] = field(default_factory=dict)
    left_out: dict[float, str] = field(default_factory=dict)


def choose_rate(candidate_id: str, swept: Sequence[Trial]) -> ChosenRate:
    """Choose for a candidate from its sweep; of equally good factors the nearest to 1, and 1 where all failed.

    A factor that fails with any seed is out: the seeds that are left were not chosen by chance.
    """
    losses: dict[float, float] = {}
    left_out: dict[float, str] = {}
    for rate in sorted({trial.rate for trial in swept}):
        trials = [trial for trial in swept if trial.rate == rate]
        failed = [trial for trial in trials if trial.status is not TrialStatus.DONE or trial.loss_nats is None]
        if failed:
            left_out[rate] = f"{failed[0].status.value}: {failed[0].reason}"
        else:
            losses[rate] = fmean(trial.loss_nats or 0.0 for trial in trials)
    best = min(losses, key=lambda rate: (losses[rate], abs(math.log(rate))), default=1.0)
    return ChosenRate(candidate_id, best, losses, left_out)
