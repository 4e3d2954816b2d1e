"""What the best of many is worth: claims made together, and losses drawn towards what designs usually come to."""

import numpy as np
import pytest
from scipy.stats import norm

from netwright.evaluator.comparisons import holm
from netwright.evaluator.selection import by_expected_loss, discoveries, shrunken
from netwright.types import Interval, Outcome, Score, Verdict


def verdict(p_value: float | None, delta: float = -0.1, level: float | None = None) -> Verdict:
    clear = p_value is not None and p_value <= 0.05
    outcome = (Outcome.BETTER if delta < 0 else Outcome.WORSE) if clear or level else Outcome.NO_DIFFERENCE
    interval = Interval(low=-1.0, high=-0.1, level=level) if level else None
    return Verdict(outcome=outcome, delta_nats=delta, p_value=p_value, interval=interval)


def family(*p_values: float) -> dict[int, Verdict]:
    return {node: verdict(p_value) for node, p_value in enumerate(p_values)}


# -- claims made together --------------------------------------------------------------------------------------


def test_the_textbook_family_of_benjamini_and_hochberg():
    textbook = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    textbook += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]

    assert discoveries(family(*textbook)) == {0, 1, 2, 3}


def test_a_single_claim_needs_no_correction():
    assert discoveries(family(0.049)) == {0}


def test_what_is_better_alone_need_not_be_better_among_many():
    assert discoveries(family(0.04, *[0.5] * 19)) == frozenset()


def test_worse_counts_in_the_family_and_is_never_named():
    mixed = {"worse": verdict(1e-6, delta=0.1), "better": verdict(0.045)}

    assert discoveries(mixed) == {"better"}


def test_verdicts_that_rest_on_no_test_are_no_members_of_the_family():
    untested = {node: Verdict(outcome=Outcome.FAILED) for node in range(100)}

    assert discoveries({**untested, "better": verdict(0.045)}) == {"better"}
    assert discoveries(untested) == frozenset()


def test_a_verdict_that_kept_no_p_value_counts_with_what_its_interval_allows():
    assert discoveries({0: verdict(None, level=0.95)}) == {0}
    assert discoveries({0: verdict(None, level=0.95), 1: verdict(0.9)}) == frozenset()


def test_among_claims_made_together_few_are_false_and_more_are_found_than_by_holm():
    rng = np.random.default_rng(5)
    true = np.arange(40) < 10
    false_shares, alone, found, by_holm = [], [], 0, 0
    for _ in range(300):
        z = rng.normal(np.where(true, -3.2, 0.0), 1.0)
        p_values = 2.0 * norm.sf(np.abs(z))
        claimed = {node: verdict(p, delta) for node, (p, delta) in enumerate(zip(p_values, z, strict=True))}
        named = discoveries(claimed)
        false_shares.append(np.mean([not true[node] for node in named]) if named else 0.0)
        single = [node for node in claimed if claimed[node].outcome is Outcome.BETTER]
        alone.append(np.mean([not true[node] for node in single]) if single else 0.0)
        found += sum(bool(true[node]) for node in named)
        by_holm += sum(p <= 0.05 and true[node] and z[node] < 0 for node, p in enumerate(holm(list(p_values))))

    assert np.mean(false_shares) <= 0.05 < np.mean(alone)
    assert found > 1.2 * by_holm


# -- shrinkage -------------------------------------------------------------------------------------------------


def test_with_equal_errors_it_is_the_estimator_of_james_and_stein():
    losses, error = np.array([1.0, 1.1, 1.3, 1.35, 1.9]), 0.2
    squares = np.sum((losses - losses.mean()) ** 2)

    means = [estimate.mean for estimate in shrunken(list(losses), [error] * 5)]

    expected = losses.mean() + (1 - (5 - 3) * error**2 / squares) * (losses - losses.mean())
    assert means == pytest.approx(list(expected))


def test_a_certain_result_stays_and_a_noisy_one_is_drawn_to_the_others():
    losses, errors = [1.0, 1.01, 1.5, 1.6, 1.7], [0.2, 0.0, 0.01, 0.01, 0.01]

    estimates = shrunken(losses, errors)

    assert estimates[1].mean == pytest.approx(1.01)
    assert estimates[0].mean > estimates[1].mean
    assert estimates[0].sd > 0.1 > estimates[2].sd


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 2.0, 3.0], [1.5] * 6])
def test_where_nothing_can_be_learned_of_the_spread_results_stay_as_they_are(losses: list[float]):
    estimates = shrunken(losses, [0.3] * len(losses))

    assert [(each.mean, each.sd) for each in estimates] == [(loss, 0.3) for loss in losses]


def test_what_noise_explains_altogether_is_drawn_in_as_far_as_so_few_results_allow():
    estimates = shrunken([1.0, 1.01, 1.02, 1.03, 1.04], [0.5] * 5)

    assert estimates[0].mean == pytest.approx(1.02 - 0.02 * (1 - 2 / 4))


def test_shrunken_losses_are_nearer_to_the_truth_and_the_best_is_flattered_less():
    rng = np.random.default_rng(3)
    raw_error = shrunken_error = raw_flattery = shrunken_flattery = raw_regret = shrunken_regret = 0.0
    covered = []
    for _ in range(400):
        true = rng.normal(1.5, 0.03, 30)
        errors = rng.choice([0.01, 0.04], 30)
        losses = rng.normal(true, errors)
        estimates = shrunken(list(losses), list(errors))
        means, sds = np.array([each.mean for each in estimates]), np.array([each.sd for each in estimates])
        raw_error += np.sum((losses - true) ** 2)
        shrunken_error += np.sum((means - true) ** 2)
        raw_flattery += true[losses.argmin()] - losses.min()
        shrunken_flattery += true[means.argmin()] - means.min()
        raw_regret += true[losses.argmin()] - true.min()
        shrunken_regret += true[means.argmin()] - true.min()
        covered.append(np.abs(means - true) <= 1.96 * sds)

    assert shrunken_error < 0.5 * raw_error
    assert abs(shrunken_flattery) < 0.2 * raw_flattery
    assert shrunken_regret < raw_regret
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def test_designs_are_ranked_at_the_highest_rung_by_what_is_to_be_expected_of_them():
    def score(loss: float, error: float, rung: int = 1) -> Score:
        return Score(value=-loss, standard_error=error, rung=rung, seeds=1)

    scores = {"lower rung": score(0.1, 0.0, rung=0), "lucky": score(1.0, 0.3), "steady": score(1.05, 0.02)}
    scores |= {name: score(loss, 0.02) for name, loss in (("c", 1.5), ("d", 1.6), ("e", 1.45))}

    ranked = by_expected_loss(scores)

    assert list(ranked)[:2] == ["steady", "lucky"]
    assert "lower rung" not in ranked
    assert by_expected_loss({}) == {}
