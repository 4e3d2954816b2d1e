import math

import numpy as np
import pytest

from netwright.evaluator.statistics import NoiseFloor, mean_interval, noise_floor, score_of
from netwright.types import Split, Trial, TrialStatus

FLOOR = NoiseFloor(sd_nats=0.01, degrees_of_freedom=14)


def trial(loss: float | None, *, who: str = "a", seed: int = 0, rung: int = 0, **more: object) -> Trial:
    status = TrialStatus.DIVERGED if loss is None else TrialStatus.DONE
    fields = {"candidate_id": who, "task_id": "t", "rung": rung, "seed": seed, "status": status} | more
    return Trial(loss_nats=loss, **fields)


def trials(losses: list[float], *, who: str = "a", first_seed: int = 0, rung: int = 0) -> list[Trial]:
    return [trial(loss, who=who, seed=first_seed + n, rung=rung) for n, loss in enumerate(losses)]


# -- intervals of a mean -------------------------------------------------------------------------------------


def test_the_t_interval_of_five_values_is_the_textbook_one():
    mean, interval = mean_interval([4.0, 5.0, 6.0, 7.0, 8.0])

    assert mean == 6.0
    half = 2.7764451 * math.sqrt(2.5 / 5)
    assert (interval.low, interval.high) == pytest.approx((6.0 - half, 6.0 + half))
    assert interval.level == 0.95


def test_one_value_has_no_interval():
    with pytest.raises(ValueError, match="at least 2 values, got 1"):
        mean_interval([1.0])


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_outside_zero_and_one_is_refused(level: float):
    with pytest.raises(ValueError, match="between 0 and 1"):
        mean_interval([1.0, 2.0], level)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_covers_the_true_mean_as_often_as_it_says(level: float):
    rng = np.random.default_rng(1)
    draws = rng.normal(3.0, 0.2, size=(2000, 3))

    covered = np.mean([(i := mean_interval(row, level)[1]).low <= 3.0 <= i.high for row in draws])

    assert covered == pytest.approx(level, abs=0.025)


# -- the noise floor -----------------------------------------------------------------------------------------


def test_the_noise_floor_pools_the_spread_within_candidates_and_ignores_that_between_them():
    floor = noise_floor(trials([1.0, 1.2], who="a") + trials([5.0, 5.4, 5.8], who="b"))

    assert floor is not None
    assert floor.degrees_of_freedom == 3
    assert floor.sd_nats == pytest.approx(math.sqrt((0.02 + 0.32) / 3))


def test_without_a_repeated_candidate_there_is_no_noise_floor():
    assert noise_floor(trials([1.0], who="a") + trials([2.0], who="b")) is None
    assert noise_floor([]) is None


def test_failed_trials_and_other_rungs_never_mix_into_the_noise():
    floor = noise_floor([*trials([1.0, 1.2]), trial(None, seed=2), trial(0.2, seed=3, rung=1)])

    assert floor == noise_floor(trials([1.0, 1.2]))


def test_the_same_seed_twice_is_one_replicate():
    assert noise_floor([trial(1.0), trial(1.0)]) is None


# -- scores --------------------------------------------------------------------------------------------------


def test_a_score_is_minus_the_mean_loss_at_the_highest_rung_reached():
    score = score_of([*trials([2.0, 2.2, 2.4]), *trials([1.0, 1.2], rung=1)], FLOOR)

    assert score is not None
    assert (score.value, score.rung, score.seeds) == (pytest.approx(-1.1), 1, 2)


def test_one_seed_takes_its_standard_error_from_the_noise_floor():
    score = score_of([trial(2.0, loss_standard_error=0.5)], FLOOR)

    assert score is not None
    assert score.standard_error == pytest.approx(0.01)


def test_own_seeds_are_pooled_with_the_noise_floor():
    score = score_of(trials([1.00, 1.02]), FLOOR)

    assert score is not None
    assert score.standard_error == pytest.approx(math.sqrt((14 * 1e-4 + 2e-4) / 15 / 2))


def test_a_candidate_noisier_than_the_floor_explains_keeps_its_own_spread():
    score = score_of(trials([1.0, 1.5, 2.0]), FLOOR)

    assert score is not None
    assert score.standard_error == pytest.approx(0.5 / math.sqrt(3))


def test_without_a_floor_one_seed_falls_back_to_the_sampling_error_over_rows():
    score = score_of([trial(2.0, loss_standard_error=0.03)], None)

    assert score is not None
    assert score.standard_error == 0.03


def test_a_candidate_without_a_finished_validation_trial_has_no_score():
    assert score_of([], FLOOR) is None
    assert score_of([trial(None)], FLOOR) is None
    assert score_of([trial(1.0, split=Split.TEST)], FLOOR) is None


def test_a_failed_promotion_leaves_the_score_of_the_lower_rung():
    score = score_of([trial(2.0), trial(None, rung=1)], FLOOR)

    assert score is not None
    assert score.rung == 0
