"""Sums over trainings: which count, and in which order designs are told."""

from __future__ import annotations

import pytest

from netwright.memory.results import mean_losses
from netwright.types import Split


def test_a_mean_is_over_the_seeds_of_one_rung_of_the_open_split(memory, task, make_candidate, make_trial):
    first, failed = make_candidate(1), make_candidate(2)
    for candidate in (first, failed):
        memory.put_candidate(candidate)
    for trial in (
        make_trial(first, 1.0),
        make_trial(first, 1.2, seed=2),
        make_trial(first, 0.5, rung=1),
        make_trial(first, 9.0, split=Split.TEST),
        make_trial(failed, None),
    ):
        memory.put_trial(None, trial)

    assert mean_losses(memory, task.id) == {first.id: {0: pytest.approx(1.1), 1: 0.5}}
