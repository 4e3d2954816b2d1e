"""Places for the boxes of a directed graph, from top to bottom: ranks, an order in each, positions. Pure, repeatable.

Source: Sugiyama, Tagawa & Toda 1981, methods for visual understanding of hierarchical system structures: longest paths
for ranks, barycenters for the order, places held free for edges that pass a rank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

SWEEPS = 12
GAP, RANK_GAP, PASSING = 26.0, 40.0, 10.0
CLEARANCE = 4.0


@dataclass(frozen=True)
class Layout:
    """Centres (x) and tops (y) of the boxes, the points that each edge passes, and the size of all."""

    places: tuple[tuple[float, float], ...]
    paths: dict[tuple[int, int], tuple[tuple[float, float], ...]]
    width: float
    height: float


def lay_out(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """Place boxes of these sizes (width, height); edges lead from lower to higher numbers."""
    ranks = _ranks(len(sizes), edges)
    widths = [width for width, _ in sizes]
    chains: dict[tuple[int, int], list[int]] = {}
    links: list[tuple[int, int]] = []
    for edge in edges:
        chains[edge] = [edge[0]]
        for rank in range(ranks[edge[0]] + 1, ranks[edge[1]]):
            chains[edge].append(len(ranks))
            ranks.append(rank)
            widths.append(PASSING)
        chains[edge].append(edge[1])
        links += list(zip(chains[edge], chains[edge][1:], strict=False))
    rows = _ordered(ranks, links)
    x = _centred(rows, widths, links)
    for chain in chains.values():
        _straighten(chain[1:-1], rows, ranks, x, widths)
    tops, bottoms, height = _heights(rows, sizes)
    left = min(x[node] - widths[node] / 2 for node in range(len(x)))
    # On the floor of their ranks: what stands below a box then meets no taller neighbour.
    places = tuple((x[node] - left, bottoms[ranks[node]] - sizes[node][1]) for node in range(len(sizes)))
    paths = {}
    for edge, chain in chains.items():
        through = [(x[node] - left, y) for node in chain[1:-1] for y in (tops[ranks[node]], bottoms[ranks[node]])]
        start = (places[edge[0]][0], places[edge[0]][1] + sizes[edge[0]][1])
        above = (places[edge[1]][0], tops[ranks[edge[1]]])
        paths[edge] = (start, *through, *([above] if above != places[edge[1]] else []), places[edge[1]])
    width = max(x[node] + widths[node] / 2 for node in range(len(x))) - left
    return Layout(places, paths, width, height)


def crossings(count: int, edges: Sequence[tuple[int, int]]) -> int:
    """Return how many ranks all edges pass: what a layout costs, and how tangled it would be."""
    ranks = _ranks(count, edges)
    return sum(ranks[target] - ranks[source] - 1 for source, target in edges)


def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """As high as what leads to it allows; what nothing leads to stands just above its first reader."""
    before, after = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    ranks = [0] * count
    for node in range(count):
        ranks[node] = max((ranks[each] + 1 for each in before[node]), default=0)
    for node in reversed(range(count)):
        if node and after[node]:
            lowest = min(ranks[each] for each in after[node]) - 1
            ranks[node] = lowest if not before[node] else ranks[node]
    return ranks


def _ordered(ranks: Sequence[int], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(max(ranks, default=0) + 1)]
    for node, rank in enumerate(ranks):
        rows[rank].append(node)
    above, below = defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
    for source, target in links:
        above[target].append(source)
        below[source].append(target)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows if down else reversed(rows):
            at = {node: place for each in rows for place, node in enumerate(each)}
            row.sort(key=lambda node: _mean([at[each] for each in near[node]], at[node]))
    return rows


def _centred(rows: Sequence[Sequence[int]], widths: Sequence[float], links: Sequence[tuple[int, int]]) -> list[float]:
    """Pull each box towards its neighbours, as far as those beside it let it."""
    near = defaultdict[int, list[int]](list)
    for source, target in links:
        near[target].append(source)
        near[source].append(target)
    x = [0.0] * len(widths)
    for _ in range(SWEEPS * 2):
        for row in rows:
            wanted = [_mean([x[each] for each in near[node]], x[node]) for node in row]
            for node, at in zip(row, _apart(wanted, [widths[node] for node in row]), strict=True):
                x[node] = at
    return x


def _straighten(
    passing: Sequence[int], rows: Sequence[Sequence[int]], ranks: Sequence[int], x: list[float], widths: Sequence[float]
) -> None:
    """Let an edge pass all ranks at one place, the nearest to where it is that is free in each of them."""
    if len(passing) < 2:
        return

    def is_free(at: float) -> bool:
        return all(
            abs(at - x[other]) >= (widths[other] + PASSING) / 2 + CLEARANCE
            for node in passing
            for other in rows[ranks[node]]
            if other != node
        )

    own = sorted(x[node] for node in passing)
    middle = own[len(own) // 2]
    edges = [
        x[other] + side * ((widths[other] + PASSING) / 2 + CLEARANCE)
        for node in passing
        for other in rows[ranks[node]]
        for side in (-1, 1)
    ]
    free = [at for at in sorted({middle, *own, *edges}, key=lambda at: abs(at - middle)) if is_free(at)]
    for node in passing if free else ():
        x[node] = free[0]


def _apart(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The places nearest to those wanted, in this order, at which nothing overlaps: the mean of two extremes."""

    def pushed(centres: Sequence[float], sizes: Sequence[float]) -> list[float]:
        placed: list[float] = []
        for place, centre in enumerate(centres):
            least = placed[-1] + (sizes[place - 1] + sizes[place]) / 2 + GAP if placed else centre
            placed.append(max(centre, least))
        return placed

    right = pushed(wanted, widths)
    left = [-each for each in reversed(pushed([-each for each in reversed(wanted)], widths[::-1]))]
    return [(one + other) / 2 for one, other in zip(left, right, strict=True)]


def _heights(
    rows: Sequence[Sequence[int]], sizes: Sequence[tuple[float, float]]
) -> tuple[list[float], list[float], float]:
    tops, bottoms, y = [], [], 0.0
    for row in rows:
        tall = max((sizes[node][1] for node in row if node < len(sizes)), default=0.0)
        tops.append(y)
        bottoms.append(y + tall)
        y += tall + RANK_GAP
    return tops, bottoms, max(0.0, y - RANK_GAP)


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
