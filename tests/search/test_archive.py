import numpy as np
import pytest

from netwright.search.archive import Archive
from netwright.search.descriptors import descriptors
from netwright.types import Structure


@pytest.fixture
def archive():
    """Nine designs of two families whose state takes 1 to 9 bytes."""
    archive = Archive(("family", "state"))
    for node in range(9):
        archive.put(node, {"family": "attention" if node % 2 else "memory", "state": node + 1.0})
    return archive


def test_intervals_of_a_number_hold_equally_many_designs(archive):
    assert archive.boundaries("state").tolist() == [3.0, 6.0]
    assert [archive.cells()[node][1] for node in range(9)] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_boundaries_slide_with_the_designs(archive):
    for node in range(9, 12):
        archive.put(node, {"family": "memory", "state": 1000.0})

    assert archive.boundaries("state").tolist() == [4.0, 8.0]
    assert (archive.cells()[6][1], archive.cells()[9][1]) == (1, 2)


def test_a_number_that_never_varies_has_one_interval():
    archive = Archive(("depth",))
    for node in range(5):
        archive.put(node, {"depth": 3.0})

    assert set(archive.cells().values()) == {(0,)}


def test_a_few_values_of_a_number_are_told_apart():
    archive = Archive(("depth",))
    for node, depth in enumerate([1.0] * 8 + [2.0]):
        archive.put(node, {"depth": depth})

    assert (archive.cells()[0], archive.cells()[8]) == ((0,), (1,))


def test_what_is_missing_is_a_place_of_its_own():
    archive = Archive(("family", "state"))
    archive.put(1, {"state": 4.0})
    archive.put(2, {"family": "memory"})
    archive.put(3, {})

    assert dict(archive.cells()) == {1: (None, 0), 2: ("memory", None), 3: (None, None)}


def test_the_best_of_each_cell_is_its_elite_and_the_first_of_equals(archive):
    worth = {0: 0.2, 2: 0.9, 1: 0.1, 3: 0.5, 5: 0.5}

    assert archive.elites(worth) == {("memory", 0): 2, ("attention", 0): 1, ("attention", 1): 3}


def test_no_design_of_a_cell_is_better_than_its_elite_whatever_is_put():
    rng = np.random.default_rng(5)
    for _ in range(50):
        archive = Archive(("family", "state", "latency"), intervals=int(rng.integers(2, 6)))
        size = int(rng.integers(1, 60))
        for node in range(size):
            known = {"family": str(rng.integers(3)), "state": float(rng.integers(5)), "latency": float(rng.normal())}
            archive.put(node, {axis: value for axis, value in known.items() if rng.random() < 0.8})
        worth = {node: float(rng.random()) for node in range(size)}

        elites, cells = archive.elites(worth), archive.cells()

        assert set(elites) == set(cells.values())
        assert all(worth[elites[cell]] >= worth[node] for node, cell in cells.items())
        for place in range(1, 3):
            inner = {cell[place] for cell in cells.values()} - {None}
            assert all(0 <= interval < archive._intervals for interval in inner)


def test_a_partner_is_good_and_of_another_kind(archive):
    worth = {0: 0.5, 1: 0.5, 8: 0.5, 4: 0.9, 3: 0.1}

    weights = archive.partners(0, worth)

    assert 0 not in weights
    assert weights[8] == pytest.approx(0.25 * (0.1 + 0.5))  # the same family, at the other end of the states
    assert weights[1] == pytest.approx(0.25 * (0.1 + 0.5))  # another family, as much state
    assert weights[4] > weights[8] > weights[3]


def test_a_design_that_the_archive_does_not_know_has_partners_too(archive):
    assert set(archive.partners(77, {0: 0.5, 1: 0.5})) == {0, 1}


def test_an_empty_archive_has_no_elites_and_no_partners():
    archive = Archive(("family",))

    assert archive.elites({}) == {} and archive.partners(0, {}) == {}


def test_the_family_of_a_design_is_what_kinds_of_mixers_it_has():
    structure = Structure(
        choices={
            "even.body.kind": "memory",
            "even.body.rule.kind": "delta",
            "odd.body.kind": "parallel",
            "odd.body.left.kind": "attention",
            "odd.body.right.kind": "memory",
        },
        numbers={"log10 flops per token": 5.5, "depth": 4.0},
    )

    assert descriptors(structure) == {"family": "attention+memory", "variety": 4.0, "log10 cost": 5.5}


def test_without_kinds_the_family_is_the_option_taken_most_often():
    assert descriptors(Structure(choices={"a": "conv", "b": "skip", "c": "conv"})) == {"family": "conv", "variety": 2.0}
    assert descriptors(Structure(choices={"a": "skip", "b": "conv"}))["family"] == "conv"


def test_of_a_design_without_decisions_only_what_is_known_is_told():
    assert descriptors(Structure(counts={"matmul": 3.0})) == {}
    assert descriptors(Structure(numbers={"log10 flops per token": 4.0})) == {"log10 cost": 4.0}
    assert descriptors(Structure(numbers={"log10 relative cost": -0.3})) == {"log10 cost": -0.3}
