"""What is counted of a labelled graph."""

import pytest

from netwright.search.graph_features import graph_counts

CHAIN = (["in", "conv", "norm", "out"], [(0, 1), (1, 2), (2, 3)])


def test_operations_and_runs_of_a_chain():
    counts = graph_counts(*CHAIN)

    plain = {name: count for name, count in counts.items() if name.startswith(("op:", "run:"))}
    assert plain == {
        "op:in": 1.0,
        "op:conv": 1.0,
        "op:norm": 1.0,
        "op:out": 1.0,
        "run:in>conv": 1.0,
        "run:conv>norm": 1.0,
        "run:norm>out": 1.0,
        "run:in>conv>norm": 1.0,
        "run:conv>norm>out": 1.0,
    }


def test_the_order_of_the_nodes_does_not_matter_but_the_direction_of_the_edges_does():
    labels, edges = CHAIN
    renamed = graph_counts(labels[::-1], [(3 - a, 3 - b) for a, b in edges])
    turned = graph_counts(labels, [(b, a) for a, b in edges])

    assert renamed == graph_counts(*CHAIN)
    assert turned != graph_counts(*CHAIN)


def test_parallel_branches_are_counted_by_their_walks():
    counts = graph_counts(["in", "conv", "conv", "out"], [(0, 1), (0, 2), (1, 3), (2, 3)])

    assert counts["run:in>conv>out"] == 2.0
    assert counts["op:conv"] == 2.0


def test_neighbourhoods_tell_apart_what_runs_do_not():
    one = graph_counts(["a", "b", "b", "c"], [(0, 1), (0, 2), (1, 3)], depth=1, run=2)
    two = graph_counts(["a", "b", "b", "c", "a"], [(0, 1), (4, 2), (1, 3)], depth=1, run=2)

    assert sum(name.startswith("in1:") for name in one) == 3
    assert one != two


def test_an_empty_graph_has_no_counts_and_an_edge_to_nowhere_is_refused():
    assert graph_counts([], []) == {}
    with pytest.raises(IndexError):
        graph_counts(["a"], [(1, 0)])
