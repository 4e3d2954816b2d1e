from __future__ import annotations

import pytest

from netwright.confidence import confidence


def test_the_experiment_that_a_claim_came_from_is_no_test_of_it() -> None:
    assert confidence(1, 0) == confidence(0, 0) == 0.5


def test_every_further_experiment_moves_it_and_the_later_ones_less() -> None:
    rising = [confidence(count, 0) for count in range(1, 6)]
    falling = [confidence(1, count) for count in range(5)]

    steps = [later - earlier for earlier, later in zip(rising, rising[1:], strict=False)]
    assert steps == sorted(steps, reverse=True) and steps[-1] > 0
    assert falling == sorted(falling, reverse=True)


def test_it_is_the_mean_of_the_posterior_under_a_flat_prior() -> None:
    from scipy.stats import beta

    assert confidence(4, 2) == pytest.approx(beta(1 + 3, 1 + 2).mean())


def test_experiments_are_counted_from_zero() -> None:
    with pytest.raises(ValueError, match="got -1 for and 2 against"):
        confidence(-1, 2)
