"""Who is on the front: noise dominates nobody, and what is hardly cheaper is not cheaper."""

from __future__ import annotations

from netwright.evaluator.pareto import Point, dominates, pareto_front


def point(loss, latency=1.0, error=0.01, parameters=100_000.0):
    return Point(loss, error, {"latency_seconds": latency, "parameters": parameters})


def test_what_is_worse_beyond_the_noise_at_the_same_cost_is_dominated():
    assert pareto_front([point(1.0), point(1.1)]) == (True, False)


def test_a_difference_in_loss_within_the_noise_does_not_dominate():
    assert pareto_front([point(1.0), point(1.02)]) == (True, True)
    assert pareto_front([point(1.0, error=0.0), point(1.02, error=0.0)]) == (True, False)


def test_an_equal_loss_at_a_lower_cost_dominates():
    assert pareto_front([point(1.0, latency=0.5), point(1.01)]) == (True, False)


def test_whatever_costs_less_stays():
    assert pareto_front([point(1.0, latency=1.0), point(1.5, latency=0.5), point(1.4, latency=2.0)]) == (
        True,
        True,
        False,
    )


def test_costs_that_hardly_differ_decide_nothing():
    slightly_cheaper = point(1.1, latency=0.95, parameters=99_000.0)

    assert pareto_front([point(1.0), slightly_cheaper]) == (True, False)


def test_a_larger_loss_never_dominates_so_no_chain_does_away_with_the_best():
    chain = [point(1.00 + 0.01 * step, latency=0.5**step) for step in range(4)]

    assert pareto_front(chain) == (True, True, True, True)
    assert not dominates(chain[3], chain[0])


def test_designs_that_are_the_same_are_all_on_the_front():
    assert pareto_front([point(1.0), point(1.0)]) == (True, True)
    assert pareto_front([]) == ()
