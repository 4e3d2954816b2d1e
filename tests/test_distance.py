"""The distance between designs: what it is of what, and what it does not see."""

from __future__ import annotations

import pytest

from netwright.distance import distance
from netwright.types import Structure


def test_distance_is_0_for_the_same_and_1_for_nothing_in_common() -> None:
    one, other = Structure(counts={"conv": 2.0, "relu": 1.0}), Structure(counts={"matmul": 1.0})

    assert distance(one, one) == 0.0
    assert distance(one, other) == distance(other, one) == 1.0
    assert distance(Structure(), Structure()) == 0.0


def test_distance_weighs_what_is_shared_against_all_there_is() -> None:
    one, other = Structure(counts={"conv": 2.0, "relu": 1.0}), Structure(counts={"conv": 1.0, "relu": 1.0, "add": 1.0})

    assert distance(one, other) == pytest.approx(1 - 2 / 4)


def test_choices_count_where_both_designs_were_made_by_some() -> None:
    counts = {"conv": 1.0}
    one = Structure(counts=counts, choices={"kernel": "3", "bias": "true"})
    other = Structure(counts=counts, choices={"kernel": "5", "bias": "true"})

    assert distance(one, other) == pytest.approx((1 - 1 / 3) / 2)
    assert distance(one, Structure(counts=counts)) == 0.0


def test_numbers_that_differ_set_equal_graphs_apart() -> None:
    one, other = Structure(numbers={"lr": 1.0, "depth": 4.0}), Structure(numbers={"lr": 3.0, "depth": 4.0, "size": 9.0})

    assert distance(one, other) == pytest.approx((0.5 + 0.0) / 2)
