import math

import numpy as np
import pytest

from netwright.evaluator.comparisons import adjusted, claims, compare, compare_all, holm
from netwright.evaluator.statistics import NoiseFloor, noise_floor
from netwright.types import Outcome, Split, Trial, TrialStatus

FLOOR = NoiseFloor(sd_nats=0.01, degrees_of_freedom=14)


def trial(loss: float | None, *, who: str = "a", seed: int = 0, rung: int = 0, **more: object) -> Trial:
    status = TrialStatus.DIVERGED if loss is None else TrialStatus.DONE
    fields = {"candidate_id": who, "task_id": "t", "rung": rung, "seed": seed, "status": status} | more
    return Trial(loss_nats=loss, **fields)


def trials(losses: list[float], *, who: str = "a", first_seed: int = 0, rung: int = 0) -> list[Trial]:
    return [trial(loss, who=who, seed=first_seed + n, rung=rung) for n, loss in enumerate(losses)]


# -- comparisons ---------------------------------------------------------------------------------------------


def test_one_seed_each_is_decided_by_the_noise_floor():
    clear = compare([trial(1.0)], [trial(1.1, who="b")], FLOOR)
    close = compare([trial(1.0)], [trial(1.01, who="b")], FLOOR)

    assert clear.outcome is Outcome.BETTER
    assert clear.delta_nats == pytest.approx(-0.1)
    assert clear.interval is not None
    assert clear.interval.high - clear.interval.low == pytest.approx(2 * 2.1447867 * 0.01 * math.sqrt(2))
    assert clear.borrowed_noise
    assert close.outcome is Outcome.NO_DIFFERENCE


def test_worse_is_said_as_plainly_as_better():
    assert compare([trial(1.1)], [trial(1.0, who="b")], FLOOR).outcome is Outcome.WORSE


def test_without_any_estimate_of_noise_nothing_is_claimed():
    result = compare([trial(1.0)], [trial(9.0, who="b")], None)

    assert result.outcome is Outcome.NO_DIFFERENCE
    assert result.interval is None
    assert result.p_value is None
    assert result.delta_nats == pytest.approx(-8.0)
    assert "noise is unknown" in result.reason


def test_common_seeds_are_compared_in_pairs_so_that_the_noise_they_share_cancels():
    ours, theirs = [1.00, 2.01, 3.02, 4.00], [1.10, 2.10, 3.12, 4.11]

    paired = compare(trials(ours), trials(theirs, who="b"), None)
    apart = compare(trials(ours), trials(theirs, who="b", first_seed=10), None)

    assert paired.paired
    assert paired.outcome is Outcome.BETTER
    assert not apart.paired
    assert apart.outcome is Outcome.NO_DIFFERENCE


def test_two_pairs_that_agree_by_chance_are_not_a_certainty():
    ours, theirs = trials([1.000, 1.100]), trials([1.012, 1.112], who="b")

    assert compare(ours, theirs, None).outcome is Outcome.BETTER
    assert compare(ours, theirs, FLOOR).outcome is Outcome.NO_DIFFERENCE


def test_unpaired_seeds_without_a_floor_use_welchs_test():
    scipy_stats = pytest.importorskip("scipy.stats")
    ours, theirs = [1.0, 1.2, 1.1], [1.5, 2.5, 1.7, 2.1]

    result = compare(trials(ours), trials(theirs, who="b", first_seed=10), None)

    expected = scipy_stats.ttest_ind(ours, theirs, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert result.p_value == pytest.approx(expected.pvalue)
    assert result.interval is not None
    assert (result.interval.low, result.interval.high) == pytest.approx((low, high))


def test_one_seed_against_several_without_a_floor_uses_the_spread_of_the_several():
    result = compare([trial(1.0, seed=9)], trials([2.0, 2.1, 2.2], who="b"), None)

    assert result.outcome is Outcome.BETTER
    assert result.degrees_of_freedom == 2


def test_results_of_different_rungs_are_never_compared():
    result = compare([trial(1.0, rung=1)], [trial(2.0, who="b")], FLOOR)

    assert result.outcome is Outcome.NO_DIFFERENCE
    assert result.delta_nats is None
    assert "same rung" in result.reason


def test_the_highest_common_rung_decides():
    ours = [trial(1.0), trial(0.9, rung=1), trial(0.1, rung=2)]

    result = compare(ours, [trial(2.0, who="b"), trial(0.5, who="b", rung=1)], FLOOR)

    assert result.rung == 1
    assert result.outcome is Outcome.WORSE


def test_the_locked_split_is_never_compared_with_the_open_one():
    with pytest.raises(ValueError, match="one split"):
        compare([trial(1.0)], [trial(2.0, who="b", split=Split.TEST)], FLOOR)


def test_trials_of_different_tasks_are_never_compared():
    with pytest.raises(ValueError, match="one task"):
        compare([trial(1.0)], [trial(2.0, who="b", task_id="u")], FLOOR)


def test_a_deterministic_task_with_no_spread_at_all_still_gives_an_answer():
    still = NoiseFloor(sd_nats=0.0, degrees_of_freedom=4)

    assert compare([trial(1.0)], [trial(1.1, who="b")], still).outcome is Outcome.BETTER
    assert compare([trial(1.0)], [trial(1.0, who="b")], still).outcome is Outcome.NO_DIFFERENCE


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("known_noise", [False, True])
def test_equal_designs_are_called_different_no_more_often_than_the_level_allows(
    seeds: int, paired: bool, known_noise: bool
):
    rng = np.random.default_rng([seeds, paired, known_noise])
    wrong = 0
    for _ in range(3000):
        floor = noise_floor(trials(rng.normal(1.0, 0.1, 6).tolist(), who="z")) if known_noise else None
        ours = trials(rng.normal(1.0, 0.1, seeds).tolist())
        theirs = trials(rng.normal(1.0, 0.1, seeds).tolist(), who="b", first_seed=0 if paired else 50)
        wrong += compare(ours, theirs, floor).outcome is not Outcome.NO_DIFFERENCE

    assert wrong / 3000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)


def test_intervals_cover_the_true_difference():
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(1000):
        floor = noise_floor(trials(rng.normal(0.0, 0.1, 8).tolist(), who="z"))
        ours, theirs = rng.normal(1.0, 0.1, 3), rng.normal(1.15, 0.1, 3)
        interval = compare(trials(ours.tolist()), trials(theirs.tolist(), who="b"), floor).interval
        covered += interval is not None and interval.low <= -0.15 <= interval.high

    assert covered / 1000 == pytest.approx(0.95, abs=0.02)


# -- many comparisons ----------------------------------------------------------------------------------------


def test_holm_multiplies_the_smallest_p_value_most_and_never_reverses_an_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_adjusted_outcomes_and_their_intervals_always_agree():
    rivals = [1.02, 1.025, 1.03, 1.035, 1.05, 1.2]
    single = [compare([trial(1.0)], [trial(loss, who="b")], FLOOR) for loss in rivals]

    together = adjusted(single)

    assert [c.outcome for c in single].count(Outcome.BETTER) == 3
    assert [c.outcome for c in together].count(Outcome.BETTER) == 2
    for comparison in together:
        assert comparison.interval is not None
        excludes_zero = comparison.interval.high < 0
        assert excludes_zero == (comparison.outcome is Outcome.BETTER)


def test_a_comparison_without_noise_stays_undecided_among_adjusted_ones():
    known = compare([trial(1.0)], [trial(2.0, who="b")], FLOOR)
    unknown = compare([trial(1.0)], [trial(2.0, who="b")], None)

    assert adjusted([unknown, known]) == [unknown, known]


def test_seven_baselines_at_once_yield_a_false_win_no_more_often_than_one_would():
    rng = np.random.default_rng(3)
    families = 0
    for _ in range(400):
        floor = noise_floor(trials(rng.normal(0.0, 0.1, 8).tolist(), who="z"))
        ours = trials(rng.normal(1.0, 0.1, 3).tolist())
        rivals = [trials(rng.normal(1.0, 0.1, 3).tolist(), who=f"b{n}") for n in range(7)]
        results = adjusted([compare(ours, rival, floor) for rival in rivals])
        families += any(result.outcome is not Outcome.NO_DIFFERENCE for result in results)

    assert families / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_comparing_with_all_rivals_is_comparing_with_each_and_adjusting():
    ours = trials([1.0, 1.01])
    rivals = {
        "near": trials([1.03, 1.04], who="near"),
        "far": trials([1.2, 1.21], who="far"),
        "elsewhere": trials([0.5], who="elsewhere", rung=1),
        "unpaired": trials([0.9], who="unpaired", first_seed=7),
    }

    together = compare_all(ours, rivals, FLOOR, level=0.9)

    assert list(together) == list(rivals)
    assert list(together.values()) == adjusted([compare(ours, each, FLOOR, 0.9) for each in rivals.values()], 0.9)
    assert together["far"].outcome is Outcome.BETTER
    assert together["unpaired"].outcome is Outcome.WORSE
    assert together["elsewhere"].delta_nats is None


def test_no_rivals_are_no_comparisons():
    assert compare_all([trial(1.0)], {}, FLOOR) == {}


def test_a_win_over_one_of_many_is_claimed_only_where_holm_rejects():
    rng = np.random.default_rng(11)
    lost = 0
    for _ in range(300):
        ours = [trial(1.0)]
        rivals = {f"b{n}": [trial(loss, who=f"b{n}")] for n, loss in enumerate(rng.normal(1.03, 0.02, 6))}
        alone = {name: compare(ours, each, FLOOR) for name, each in rivals.items()}
        rejected = dict(zip(rivals, holm([each.p_value for each in alone.values()]), strict=True))

        for name, each in compare_all(ours, rivals, FLOOR).items():
            assert (each.outcome is not Outcome.NO_DIFFERENCE) == (rejected[name] <= 0.05)
            lost += alone[name].outcome is not each.outcome

    assert lost > 50


# -- what a confirmation may claim -----------------------------------------------------------------------------


def test_a_confirmation_borrows_no_noise_from_other_architectures():
    calm = {who: trials([2.0, 2.001, 1.999], who=who) for who in "bcdefg"}
    noisy, rival = trials([1.0, 1.4, 1.8]), trials([1.5, 1.5, 1.5], who="z")

    found = claims(noisy, {"z": rival, **calm})

    assert found["z"].outcome is Outcome.NO_DIFFERENCE
    assert not any(each.borrowed_noise for each in found.values())


def test_a_design_that_failed_on_a_seed_is_better_than_nobody():
    failing = [*trials([1.0, 1.001, 1.002, 1.001]), trial(None, seed=4)]
    rival = trials([2.0, 2.001, 2.002, 2.001, 2.0], who="b")

    found = claims(failing, {"b": rival})["b"]

    assert found.outcome is Outcome.NO_DIFFERENCE
    assert found.reason == "it failed on 1 of 5 seeds"
    assert claims(failing[:4], {"b": rival})["b"].outcome is Outcome.BETTER
