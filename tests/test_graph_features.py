"""Counts of a labelled graph: what they count, and what they do not depend on."""

from __future__ import annotations

import random
import time

import pytest

from netwright.graph_features import graph_counts

LABELS = ["input", "conv", "relu", "add", "output"]
EDGES = [(0, 1), (1, 2), (2, 3), (0, 3), (3, 4)]
"""A residual block: the input goes to the sum both through conv and relu, and directly."""


def words(counts: dict[str, float]) -> dict[str, float]:
    return {name: count for name, count in counts.items() if ":" not in name}


def test_nodes_and_runs_of_two_and_three_are_counted() -> None:
    counts = words(graph_counts(LABELS, EDGES))

    assert {name: n for name, n in counts.items() if ">" not in name} == dict.fromkeys(LABELS, 1.0)
    assert {name for name in counts if name.count(">") == 1} == {
        *("input>conv", "conv>relu", "relu>add", "input>add", "add>output")
    }
    assert {name for name in counts if name.count(">") == 2} == {
        *("input>conv>relu", "conv>relu>add", "relu>add>output", "input>add>output")
    }


def test_equal_runs_add_up() -> None:
    counts = graph_counts(["a", "a", "b", "c", "c"], [(0, 2), (1, 2), (2, 3), (2, 4)])

    assert (counts["a"], counts["a>b"], counts["b>c"], counts["a>b>c"]) == (2.0, 2.0, 2.0, 4.0)


def test_the_counts_do_not_depend_on_how_nodes_are_numbered() -> None:
    place = [3, 0, 4, 2, 1]
    labels = [""] * 5
    for old, new in enumerate(place):
        labels[new] = LABELS[old]

    assert graph_counts(labels, [(place[i], place[j]) for i, j in reversed(EDGES)]) == graph_counts(LABELS, EDGES)


def test_each_round_sees_one_step_further_back() -> None:
    """Two chains of four that differ in their first node alone differ at their last from the third round on."""
    chain = [(0, 1), (1, 2), (2, 3)]

    def trees(first: str, depth: int) -> set[str]:
        return {name for name in graph_counts([first, "b", "c", "d"], chain) if name.startswith(f"{depth}:")}

    shared = [len(trees("a", depth) & trees("x", depth)) for depth in (1, 2, 3)]

    assert shared == [2, 1, 0]


def test_rounds_say_how_deep_the_trees_go() -> None:
    assert {name[0] for name in graph_counts(LABELS, EDGES, rounds=1) if ":" in name} == {"1"}
    assert graph_counts([], []) == {}


@pytest.mark.parametrize("edge", [(0, 5), (-1, 2)])
def test_an_edge_to_nowhere_is_refused(edge: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="in a graph of 5 nodes"):
        graph_counts(LABELS, [edge])


def test_a_node_with_thousands_on_both_sides_takes_no_time() -> None:
    n = 4000
    labels = ["hub", *("in" for _ in range(n)), *("out" for _ in range(n))]
    edges = [(node, 0) for node in range(1, n + 1)] + [(0, node) for node in range(n + 1, 2 * n + 1)]
    random.Random(0).shuffle(edges)

    begun = time.process_time()
    counts = graph_counts(labels, edges)

    assert counts["in>hub>out"] == n * n
    assert time.process_time() - begun < 2.0
