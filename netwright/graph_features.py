"""What a labelled directed graph is made of, as counts: of its nodes, of runs of them, and of their surroundings.

The same counts describe a design's source, a trace of its run and a cell of a table of architectures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

ROUNDS = 3
_NEIGHBOURS_MAX = 64
"""Distinct labels on one side of a node that runs of three are counted of: the most frequent ones."""


def graph_counts(labels: Sequence[str], edges: Sequence[tuple[int, int]], rounds: int = ROUNDS) -> dict[str, float]:
    """Count what occurs in the graph whose node i is labelled `labels[i]`; an edge (i, j) leads from i to j.

    The names of the counts are `conv` (a node), `conv>relu` and `conv>relu>add` (runs of two and three along the edges)
    and `1:6f3a0c12de` to `rounds`:... (the label of a node after so many rounds of Weisfeiler-Lehman relabelling, that
    is the tree of that depth of what leads to it). They do not depend on how the nodes are numbered.

    Raises: ValueError where an edge leads from or to a node that is not there.
    Source: Shervashidze et al. 2011, Weisfeiler-Lehman graph kernels, algorithm 2 (on directed graphs: the neighbours
    of a node are those that lead to it).
    """
    sources: list[list[int]] = [[] for _ in labels]
    targets: list[list[int]] = [[] for _ in labels]
    for source, target in edges:
        if not (0 <= source < len(labels) and 0 <= target < len(labels)):
            raise ValueError(f"edge ({source}, {target}) in a graph of {len(labels)} nodes")
        sources[target].append(source)
        targets[source].append(target)
    counts: Counter[str] = Counter(labels)
    counts.update(f"{labels[source]}>{labels[target]}" for source, target in edges)
    counts.update(_triples(labels, sources, targets))
    for depth, trees in enumerate(_relabelled(labels, sources, rounds), start=1):
        counts.update(f"{depth}:{tree}" for tree in trees)
    return {name: float(count) for name, count in counts.items()}


def _triples(labels: Sequence[str], sources: list[list[int]], targets: list[list[int]]) -> Counter[str]:
    """Count runs of three by their middle: a node with many on both sides costs its distinct neighbours only."""
    triples: Counter[str] = Counter()
    for node, label in enumerate(labels):
        before, after = (_most_frequent(Counter(labels[each] for each in side[node])) for side in (sources, targets))
        for first, n in before:
            for last, m in after:
                triples[f"{first}>{label}>{last}"] += n * m
    return triples


def _most_frequent(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_NEIGHBOURS_MAX]


def _relabelled(labels: Sequence[str], sources: list[list[int]], rounds: int) -> list[list[str]]:
    """Return the labels of all nodes after each round."""
    after, current = [], list(labels)
    for _ in range(rounds):
        current = [
            _short("\n".join((current[node], *sorted(current[source] for source in sources[node]))))
            for node in range(len(labels))
        ]
        after.append(current)
    return after


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=5).hexdigest()
