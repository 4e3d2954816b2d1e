"""Which known results are taken instead of running something again, and which of two counts."""

from __future__ import annotations

import pytest

from netwright.types import GateReport, Split, TrialStatus, Usage

HONEST = GateReport(gate="causality", passed=True)
SLOW = GateReport(gate="causality", passed=False, message="still running after 10 s")


@pytest.fixture
def design(memory, make_candidate):
    candidate = make_candidate()
    memory.put_candidate(candidate)
    return candidate


@pytest.fixture
def put(memory, make_trial, design):
    def call(loss: float | None = 1.5, *, tier: str = "T3", campaign_id: int | None = None, **changes: object):
        trial = make_trial(design, loss, usage=Usage(tier=tier), **changes)
        memory.put_trial(campaign_id, trial)
        return trial

    return call


def test_what_was_not_isolated_is_run_again_where_it_would_be_now(memory, task, design, put):
    forged = put(0.1, tier="T0")

    assert memory.trial(design.id, task.id, 0, 1, tier="T0") == forged
    assert memory.trial(design.id, task.id, 0, 1, tier="T2") is None
    assert memory.trials(tier="T0") == [forged]
    assert memory.trials(tier="T2") == []


def test_the_isolated_result_takes_the_place_of_the_other(memory, task, design, put):
    put(0.1, tier="T0")
    real = put(1.5, tier="T2")
    put(0.2, tier="T0")

    assert memory.trials() == [real]
    assert memory.trial(design.id, task.id, 0, 1, tier="T3") == real
    assert [row["superseded"] for row in memory.connection.rows("SELECT superseded FROM trials ORDER BY id")] == [1, 0]
    assert [row["loss_nats"] for row in memory.connection.rows("SELECT loss_nats FROM leaderboard")] == [1.5]


@pytest.mark.parametrize(
    "status", [TrialStatus.TIMEOUT, TrialStatus.OUT_OF_MEMORY, TrialStatus.TOO_MUCH_CPU, TrialStatus.STOPPED]
)
def test_what_was_cut_short_is_tried_again_but_not_by_the_campaign_that_knows_it(
    memory, campaign, task, design, put, status
):
    failed = put(None, status=status, campaign_id=campaign.id)

    assert memory.trial(design.id, task.id, 0, 1, tier="T3", campaign_id=campaign.id) == failed
    assert memory.trial(design.id, task.id, 0, 1, tier="T3", campaign_id=campaign.id + 1) is None
    assert memory.trial(design.id, task.id, 0, 1, tier="T3") is None

    done = put(1.5)

    assert memory.trial(design.id, task.id, 0, 1, tier="T3") == done


def test_what_failed_by_itself_is_not_tried_again(memory, task, design, put):
    failed = put(None, status=TrialStatus.DIVERGED)
    put(1.5)

    assert memory.trial(design.id, task.id, 0, 1, tier="T3") == failed


def test_a_result_that_is_put_twice_does_not_take_its_own_place(memory, put):
    for _ in range(2):
        put(None, status=TrialStatus.TIMEOUT)

    assert [row["superseded"] for row in memory.connection.rows("SELECT superseded FROM trials")] == [0]


def test_gate_reports_made_without_isolation_do_not_count_under_it(memory, task, design):
    memory.put_gates(design.id, task.id, [HONEST], "T0")

    assert memory.gates(design.id, task.id, tier="T0") == (HONEST,)
    assert memory.gates(design.id, task.id, tier="T2") == ()

    leak = GateReport(gate="causality", passed=False, message="position 3 sees 7")
    memory.put_gates(design.id, task.id, [leak], "T2")

    assert memory.gates(design.id, task.id, tier="T2") == (leak,)
    assert memory.gates(design.id, task.id) == (leak,)


def test_a_rejection_gives_way_to_a_check_that_does_not_confirm_it(memory, task, design):
    memory.put_gates(design.id, task.id, [SLOW], "T3")
    memory.put_gates(design.id, task.id, [HONEST], "T3")
    memory.put_gates(design.id, task.id, [SLOW], "T3")

    assert memory.gates(design.id, task.id) == (HONEST,)


def test_trainings_outside_the_search_that_failed_are_listed(memory, put):
    put(None, status=TrialStatus.TIMEOUT, reason="still running after 3 s")
    put(None, status=TrialStatus.CRASHED, split=Split.TEST, reason="it broke", last_output="words of the test split")

    rows = [dict(row) for row in memory.connection.rows("SELECT * FROM failures ORDER BY created_at")]
    assert [(row["campaign"], row["node"], row["what"], row["stage"], row["failure"]) for row in rows] == [
        (None, None, "training", "training: timeout", "still running after 3 s"),
        (None, None, "training", "training: crashed", "it broke"),
    ]
    assert "words of the test split" not in str(rows)
