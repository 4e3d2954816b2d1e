"""Which learning rate a finalist takes from its sweep."""

import pytest

from netwright.evaluator.rates import choose_rate
from netwright.types import Trial, TrialStatus


def swept(rate: float, loss: float | None, seed: int = 500, reason: str = "") -> Trial:
    status = TrialStatus.DIVERGED if loss is None else TrialStatus.DONE
    fields = {"candidate_id": "a", "task_id": "t", "rung": 1, "seed": seed, "status": status, "reason": reason}
    return Trial(rate=rate, loss_nats=loss, **fields)


def test_the_factor_with_the_lowest_validation_loss_is_taken():
    chosen = choose_rate("a", [swept(0.5, 1.2), swept(1.0, 1.1), swept(2.0, 1.05)])

    assert (chosen.candidate_id, chosen.rate) == ("a", 2.0)
    assert chosen.losses == {0.5: 1.2, 1.0: 1.1, 2.0: 1.05}
    assert chosen.left_out == {}


def test_several_sweep_seeds_decide_by_their_mean():
    first, second = [swept(1.0, 1.1), swept(2.0, 1.0)], [swept(1.0, 1.1, seed=501), swept(2.0, 1.4, seed=501)]

    assert choose_rate("a", [*first, *second]).rate == 1.0
    assert choose_rate("a", first).rate == 2.0


def test_a_factor_that_fails_on_any_seed_is_out():
    trials = [swept(1.0, 1.1), swept(1.0, 1.1, seed=501), swept(2.0, 0.5)]

    chosen = choose_rate("a", [*trials, swept(2.0, None, seed=501, reason="step 7 was not finite")])

    assert (chosen.rate, chosen.losses) == (1.0, {1.0: 1.1})
    assert chosen.left_out == {2.0: "diverged: step 7 was not finite"}


def test_where_every_factor_fails_the_recipe_stays_as_it_is():
    chosen = choose_rate("a", [swept(rate, None) for rate in (0.5, 2.0)])

    assert (chosen.rate, chosen.losses, list(chosen.left_out)) == (1.0, {}, [0.5, 2.0])


@pytest.mark.parametrize(("factors", "taken"), [((0.5, 1.0, 2.0), 1.0), ((0.25, 2.0), 2.0)])
def test_of_equally_good_factors_the_nearest_to_one_is_taken(factors: tuple[float, ...], taken: float):
    assert choose_rate("a", [swept(rate, 1.0) for rate in factors]).rate == taken
