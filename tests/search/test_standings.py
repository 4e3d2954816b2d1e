import numpy as np
import pytest

from netwright.search.standings import RungTable, exchange_places, places, probability_better


def table(*results: tuple[int, float, float]) -> RungTable:
    rung = RungTable()
    for node, value, error in results:
        rung.put(node, value, error)
    return rung


def test_certain_results_have_their_plain_ranks():
    assert table((0, 1.0, 0.0), (1, 3.0, 0.0), (2, 2.0, 0.0)).ranks().tolist() == [3.0, 1.0, 2.0]


def test_equal_results_share_their_ranks():
    assert table((0, 1.0, 0.0), (1, 1.0, 0.0), (2, 0.0, 0.0)).ranks().tolist() == [1.5, 1.5, 3.0]


def test_a_noisy_winner_stands_below_a_certain_one():
    noisy = table((0, 0.0, 0.0), (1, 1.0, 0.0), (2, 2.0, 1.5))
    certain = table((0, 0.0, 0.0), (1, 1.0, 0.0), (2, 2.0, 0.1))

    assert noisy.standings()[2] < certain.standings()[2]


def test_the_best_of_many_stands_at_one_and_the_top_is_spread_out():
    standings = np.sort(table(*((n, float(n), 0.0) for n in range(100))).standings())[::-1]

    assert standings[0] == 1.0
    assert standings[0] - standings[1] > 0.1 > standings[50] - standings[51]
    assert standings[-1] > 0.0


def test_a_new_result_of_a_node_replaces_its_old_one():
    rung = table((0, 1.0, 0.1), (1, 2.0, 0.1), (2, 3.0, 0.1))
    rung.put(0, 9.0, 0.1)

    fresh = table((1, 2.0, 0.1), (2, 3.0, 0.1), (0, 9.0, 0.1))

    assert rung.nodes == fresh.nodes
    assert rung.ranks() == pytest.approx(fresh.ranks())
    assert rung.value(0) == (9.0, 0.1)


def test_ranks_kept_up_to_date_equal_ranks_computed_at_once():
    rng = np.random.default_rng(0)
    values, errors = rng.normal(size=40), rng.uniform(0.0, 1.0, 40)
    rung = table(*((n, float(v), float(e)) for n, (v, e) in enumerate(zip(values, errors, strict=True))))

    beaten_by = [
        1.0 + sum(probability_better(values[j], errors[j], values[[i]], errors[[i]])[0] for j in range(40) if j != i)
        for i in range(40)
    ]

    assert rung.ranks() == pytest.approx(np.array(beaten_by))


def test_the_chance_of_being_better_follows_the_normal_distribution():
    chance = probability_better(1.0, 0.6, np.array([0.0, 1.0, 2.0]), np.array([0.8, 0.8, 0.8]))

    assert chance == pytest.approx([0.8413, 0.5, 0.1587], abs=0.01)


def test_huge_values_do_not_overflow():
    chance = probability_better(1e308, 0.0, np.array([-1e308]), np.array([0.0]))

    assert chance.tolist() == [1.0]


def test_a_higher_rung_decides_who_holds_which_place_and_no_value_crosses_rungs():
    places = {0: 1.0, 1: 0.7, 2: 0.4, 3: 0.2}

    exchange_places(places, table((0, -500.0, 0.0), (2, -400.0, 0.0)), failed=set())

    assert places == {0: 0.4, 1: 0.7, 2: 1.0, 3: 0.2}


def test_a_single_promoted_node_keeps_its_place():
    places = {0: 0.6, 1: 1.0}

    exchange_places(places, table((0, 123.0, 0.0)), failed=set())

    assert places == {0: 0.6, 1: 1.0}


def test_a_node_that_failed_at_the_higher_rung_comes_last_of_those_that_went_there():
    places = {0: 1.0, 1: 0.7, 2: 0.4}

    exchange_places(places, table((1, 5.0, 0.0), (2, 4.0, 0.0)), failed={0})

    assert places == {0: 0.4, 1: 1.0, 2: 0.7}


@pytest.mark.parametrize(
    ("values", "expected"), [([3, 1, 2], [0, 2, 1]), ([1, 1, 1], [1, 1, 1]), ([5, 5, 0], [0.5, 0.5, 2])]
)
def test_equal_values_share_their_places(values: list[float], expected: list[float]) -> None:
    assert places(np.array(values)).tolist() == expected
