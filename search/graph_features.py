"""What a labelled graph is made of, as counts: operations, runs of operations, neighbourhoods.

A graph is a list of labels, one per node, and directed edges between their places.
Source: Shervashidze et al. (2011), Weisfeiler-Lehman Graph Kernels, JMLR 12:2539; runs of operations as in White et
al. (2021), BANANAS, AAAI (path encoding), cut at a length.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence


def graph_counts(
    labels: Sequence[str], edges: Iterable[tuple[int, int]], *, depth: int = 2, run: int = 3
) -> dict[str, float]:
    """Count operations (`op:`), runs of 2 to `run` operations (`run:`) and neighbourhoods of radius 1 to `depth`.

    Two graphs that differ in the order of their nodes alone have the same counts. A neighbourhood is directed: what
    flows into a node, what flows into that, and so on (`in1:`, `in2:`, ...).

    Raises:
        IndexError: an edge to a node that does not exist.
    """
    before: list[list[int]] = [[] for _ in labels]
    for source, target in edges:
        before[target].append(source)
        labels[source]
    found: Counter[str] = Counter(f"op:{label}" for label in labels)
    found.update(_runs(labels, before, run))
    found.update(_neighbourhoods(labels, before, depth))
    return {name: float(count) for name, count in found.items()}


def _runs(labels: Sequence[str], before: Sequence[Sequence[int]], longest: int) -> Counter[str]:
    """Count directed walks of 2 to `longest` nodes by the labels along them."""
    found: Counter[str] = Counter()
    ending: list[Counter[str]] = [Counter({label: 1}) for label in labels]
    for _ in range(longest - 1):
        longer: list[Counter[str]] = [Counter() for _ in labels]
        for node, sources in enumerate(before):
            for source in sources:
                for walk, count in ending[source].items():
                    longer[node][f"{walk}>{labels[node]}"] += count
        ending = longer
        for walks in ending:
            for walk, count in walks.items():
                found[f"run:{walk}"] += count
    return found


def _neighbourhoods(labels: Sequence[str], before: Sequence[Sequence[int]], depth: int) -> Counter[str]:
    """Count the Weisfeiler-Lehman labels of radius 1 to `depth`."""
    found: Counter[str] = Counter()
    current = list(labels)
    for radius in range(1, depth + 1):
        described = [
            f"{current[node]}({','.join(sorted(current[source] for source in sources))})"
            for node, sources in enumerate(before)
        ]
        current = [hashlib.blake2b(text.encode(), digest_size=6).hexdigest() for text in described]
        found.update(f"in{radius}:{label}" for label in current)
    return found
