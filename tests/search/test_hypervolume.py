"""The exact hypervolume against counting cells, and what makes it one."""

import itertools

import numpy as np
import pytest

from netwright.search.hypervolume import contributions, hypervolume, non_dominated, unit_box


def counted(points: np.ndarray, reference: np.ndarray) -> int:
    """By brute force: for whole numbers, the unit cells that some point dominates."""
    cells = itertools.product(*(range(side) for side in reference))
    return sum(any((point <= cell).all() for point in points) for cell in map(np.array, cells))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_it_is_the_number_of_cells_that_are_dominated(objectives):
    rng = np.random.default_rng(objectives)
    for _ in range(25):
        reference = rng.integers(2, 6, size=objectives)
        points = rng.integers(0, 7, size=(int(rng.integers(0, 8)), objectives))

        volume = hypervolume(points.astype(float), reference.astype(float))

        assert volume == pytest.approx(counted(points, reference))


@pytest.mark.parametrize("objectives", [2, 3, 5])
def test_a_contribution_is_what_is_lost_without_the_point(objectives):
    rng = np.random.default_rng(objectives)
    for _ in range(10):
        points, reference = rng.random((7, objectives)) * 1.2, np.ones(objectives)
        points[6] = points[0]

        found = contributions(points, reference)

        whole = hypervolume(points, reference)
        for place in range(7):
            rest = hypervolume(np.delete(points, place, axis=0), reference)
            assert found[place] == pytest.approx(whole - rest, abs=1e-12)
        assert found[0] == found[6] == pytest.approx(0.0, abs=1e-12)


def test_what_no_other_dominates_is_told_once():
    points = np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [3.0, 2.0], [3.0, 1.0], [4.0, 4.0]])

    assert non_dominated(points).tolist() == [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]


def test_in_the_unit_box_the_unit_of_an_objective_does_not_matter():
    points = np.random.default_rng(0).random((12, 3))
    other = points * [1e3, 1e-4, 7.0] + [5.0, -1.0, 0.0]

    one, another = (hypervolume(unit_box(each), np.ones(3)) for each in (points, other))

    assert one == pytest.approx(another)
    assert 0.0 < one < 1.0


def test_best_in_everything_is_the_whole_box():
    points = np.array([[1.0, 5.0, 2.0], [2.0, 6.0, 2.0]])

    assert hypervolume(unit_box(points), np.ones(3)) == 1.0
    assert hypervolume(unit_box(points[:1]), np.ones(3)) == 1.0


def test_the_worst_in_one_objective_still_counts_for_what_it_is_best_in():
    scaled = unit_box(np.array([[0.0, 1.0], [1.0, 0.0]]))

    assert (contributions(scaled, np.ones(2)) > 0.0).all()


def test_no_points_dominate_nothing():
    assert hypervolume(np.empty((0, 3)), np.ones(3)) == 0.0
    assert contributions(np.empty((0, 3)), np.ones(3)).tolist() == []
