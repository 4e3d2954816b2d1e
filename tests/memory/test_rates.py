"""Learning-rate sweeps and looks at the locked split, as the memory keeps them apart from what ranks designs."""

from __future__ import annotations

import pytest

from netwright.memory import query
from netwright.memory.overview import failures
from netwright.memory.records import Opening
from netwright.types import SWEEP_SEEDS, Split

SWEPT = SWEEP_SEEDS[0]


@pytest.fixture
def design(memory, make_candidate):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    return candidate


def test_trials_of_one_seed_with_several_learning_rates_are_all_kept(memory, task, design, make_trial):
    by_rate = {rate: make_trial(design, 1.0 + rate, rate=rate) for rate in (0.5, 1.0, 2.0)}
    for trial in by_rate.values():
        memory.put_trial(None, trial)

    assert {rate: memory.trial(design.id, task.id, 0, 1, rate=rate) for rate in by_rate} == by_rate
    assert memory.trial(design.id, task.id, 0, 1) == by_rate[1.0]
    assert memory.trial(design.id, task.id, 0, 1, rate=4.0) is None


def test_a_sweep_ranks_nothing(memory, design, make_trial):
    ranked = make_trial(design, 1.5)
    swept = [make_trial(design, 0.1, rung=1, seed=SWEPT, rate=rate) for rate in (0.5, 1.0, 2.0)]
    other = make_trial(design, 0.1, rate=2.0)
    for trial in (ranked, *swept, other):
        memory.put_trial(None, trial)

    assert memory.trials() == [ranked]
    assert [(row.rung, row.loss_nats, row.seeds) for row in query.top(memory)] == [(0, 1.5, 1)]
    assert memory.trials(everything=True) == [ranked, *swept, other]
    assert len(query.show(memory, design.id).trials) == 5


def test_a_factor_that_fails_in_a_sweep_is_no_failure_of_the_design(memory, campaign, design, make_trial):
    for changes in ({"seed": SWEPT}, {"seed": SWEPT, "rate": 2.0}):
        memory.put_trial(campaign.id, make_trial(design, None, reason="swept", **changes))
    memory.put_trial(campaign.id, make_trial(design, None, reason="locked", split=Split.TEST, seed=1000, rate=2.0))

    (group,) = failures(memory, "first")

    assert [failure.failure for failure in group.failures] == ["locked"]


def test_looks_at_the_locked_split_are_kept_once_in_order(memory, campaign, design):
    first = Opening(task_id=campaign.task.id, rung=1, candidate_id=design.id, seeds=(1000, 1001))
    more = first.model_copy(update={"seeds": (1000, 1001, 1002)})

    for look in (first, more, first):
        memory.put_opening(campaign.id, look)

    assert memory.openings(campaign.task.id) == [first, more]
    assert memory.openings("other-00000000") == []


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        ({}, True),
        ({"seeds": (1001,)}, True),
        ({"seeds": (1000, 1002)}, False),
        ({"rate": 2.0}, False),
        ({"rung": 0}, False),
        ({"candidate_id": "other"}, False),
    ],
)
def test_a_look_covers_what_it_has_shown(change, covered):
    known = Opening(task_id="bytes-1", rung=1, candidate_id="a", seeds=(1000, 1001))

    assert known.covers(known.model_copy(update=change)) is covered
