import pytest

from netwright.evaluator.comparisons import adjusted, compare
from netwright.evaluator.statistics import NoiseFloor
from netwright.evaluator.verdict import judge, verdict_of
from netwright.types import Outcome, Trial, TrialStatus

FLOOR = NoiseFloor(sd_nats=0.01, degrees_of_freedom=14)


def trial(loss: float | None, *, seed: int = 0, rung: int = 0, reason: str = "", who: str = "a") -> Trial:
    status = TrialStatus.DIVERGED if loss is None else TrialStatus.DONE
    return Trial(candidate_id=who, task_id="t", rung=rung, seed=seed, status=status, loss_nats=loss, reason=reason)


def test_a_better_candidate_gets_a_sentence_with_its_interval_and_the_source_of_the_noise():
    verdict = judge([trial(1.0)], [trial(1.041)], rival_id="parent", changed="added a gate", noise=FLOOR)

    assert verdict.outcome is Outcome.BETTER
    assert verdict.rival_id == "parent"
    assert verdict.changed == "added a gate"
    assert verdict.delta_nats == pytest.approx(-0.041)
    assert verdict.author == "statistics"
    assert verdict.words == (
        "0.041 nats better than its parent (95% interval 0.011 to 0.071, 1 seed, noise from repeated trainings)."
    )


def test_a_worse_candidate_is_told_so_and_against_whom():
    verdict = judge([trial(2.0)], [trial(1.5)], rival_id="x", rival_title="retention", noise=FLOOR)

    assert verdict.outcome is Outcome.WORSE
    assert verdict.words.startswith("0.500 nats worse than retention (95% interval 0.470 to 0.530")


def test_a_difference_within_noise_is_called_that_with_both_ends_of_the_interval():
    verdict = judge([trial(1.000)], [trial(1.004)], rival_id="x", noise=FLOOR)

    assert verdict.outcome is Outcome.NO_DIFFERENCE
    assert verdict.words.startswith("Within noise of its parent: 0.004 nats better (95% interval from ")
    assert "better to 0.026 worse" in verdict.words


def test_a_single_unreplicated_pair_is_never_called_a_win():
    verdict = judge([trial(1.0)], [trial(9.0)], rival_id="x", noise=None)

    assert verdict.outcome is Outcome.NO_DIFFERENCE
    assert verdict.interval is None
    assert "8.000 nats better against its parent, which may be chance" in verdict.words


def test_paired_seeds_are_named_in_the_words():
    ours = [trial(1.0, seed=0), trial(1.2, seed=1), trial(1.1, seed=2)]
    theirs = [trial(1.51, seed=0), trial(1.69, seed=1), trial(1.6, seed=2)]

    verdict = judge(ours, theirs, rival_id="x")

    assert verdict.outcome is Outcome.BETTER
    assert "3 seeds in pairs" in verdict.words


def test_unequal_numbers_of_seeds_are_both_named():
    verdict = judge([trial(1.0)], [trial(1.5, seed=n) for n in range(3)], rival_id="x", noise=FLOOR)

    assert "1 seed against 3" in verdict.words


def test_a_failed_training_is_a_verdict_with_the_reason_and_without_a_number():
    verdict = judge([trial(None, reason="loss was not finite at step 31")], [trial(1.0)], rival_id="x")

    assert verdict.outcome is Outcome.FAILED
    assert verdict.words == "Training ended as diverged: loss was not finite at step 31"
    assert verdict.delta_nats is None
    assert verdict.interval is None


def test_a_gates_sentence_is_the_verdict_of_a_rejected_candidate():
    verdict = judge([], [trial(1.0)], rival_id="x", failure="Output 3 depends on input 7.")

    assert verdict.outcome is Outcome.FAILED
    assert verdict.words == "Output 3 depends on input 7."


def test_a_promotion_that_failed_is_judged_a_failure_even_though_the_lower_rung_went_well():
    verdict = judge([trial(1.0)], [trial(2.0)], rival_id="x", failure="out of memory at rung 1", noise=FLOOR)

    assert verdict.outcome is Outcome.FAILED


def test_without_a_rival_a_candidate_is_the_first():
    verdict = judge([trial(1.25), trial(1.35, seed=1)], [], rival_id=None)

    assert verdict.outcome is Outcome.FIRST
    assert verdict.words == "Loss 1.300 nats (2 seeds); nothing to compare with yet."


def test_a_rival_that_failed_is_nothing_to_compare_with():
    verdict = judge([trial(1.0)], [trial(None)], rival_id="x")

    assert verdict.outcome is Outcome.FIRST
    assert "its parent has no result to compare with" in verdict.words


def test_results_at_different_rungs_are_not_turned_into_a_difference():
    verdict = judge([trial(1.0, rung=1)], [trial(2.0)], rival_id="x", noise=FLOOR)

    assert verdict.outcome is Outcome.NO_DIFFERENCE
    assert verdict.delta_nats is None
    assert verdict.words == "Cannot be compared with its parent: the two have no result at the same rung."


def test_tiny_differences_keep_two_significant_digits():
    floor = NoiseFloor(sd_nats=1e-6, degrees_of_freedom=10)

    verdict = judge([trial(1.0)], [trial(1.0000421)], rival_id="x", noise=floor)

    assert verdict.words.startswith("4.2e-05 nats better")


def test_an_adjusted_comparison_is_worded_with_its_own_level():
    pair = [compare([trial(1.0)], [trial(loss)], FLOOR) for loss in (1.2, 1.3)]

    verdict = verdict_of(adjusted(pair)[1], rival_id="x", rival_title="softmax attention")

    assert verdict.outcome is Outcome.BETTER
    assert "0.300 nats better than softmax attention (97.5% interval" in verdict.words
