"""Complete tables of trained networks, read as the search sees networks: decisions, a graph, free statistics.

The files are described in the README beside them. Each network has a structure, made as for a campaign's candidates:
choices are its decisions, counts those of its labelled graph, numbers log10 of parameters and operations.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import permutations
from math import log10
from pathlib import Path

import numpy as np

from netwright.graph_features import graph_counts
from netwright.types import Structure

Network = tuple[int, ...]
Graph = tuple[list[str], list[tuple[int, int]]]


@dataclass(frozen=True)
class Table:
    """A space of networks, one decision per place, each of so many `sizes`.

    `alias` says as which tabulated network any other way to write it down is known; `function` names what a tabulated
    network computes: networks that were trained apart may share it. `values` is what regret is measured on; `runs` are
    single trainings, where the table has them.
    """

    name: str
    sizes: tuple[int, ...]
    values: Mapping[Network, float]
    alias: Mapping[Network, Network]
    function: Mapping[Network, str]
    graph: Callable[[Network], Graph]
    numbers: Mapping[Network, Mapping[str, float]]
    runs: Mapping[Network, Sequence[float]] = field(default_factory=dict)
    _structures: dict[Network, Structure] = field(default_factory=dict)

    @cached_property
    def best(self) -> float:
        return max(self.values.values())

    @cached_property
    def noise(self) -> float:
        """Standard deviation of one training, pooled over the table; 0 where there is only one."""
        return float(np.sqrt(np.mean([np.var(runs, ddof=1) for runs in self.runs.values()]))) if self.runs else 0.0

    def structure(self, network: Network) -> Structure:
        if network not in self._structures:
            self._structures[network] = Structure(
                choices={f"place {place}": str(choice) for place, choice in enumerate(network)},
                counts=graph_counts(*self.graph(network)),
                numbers=dict(self.numbers[network]),
            )
        return self._structures[network]


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as text:
        yield from csv.DictReader(text)


def digits(word: str) -> Network:
    return tuple(int(digit) for digit in word)


# --- NAS-Bench-201: six operations on the edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3 of a cell

CELL_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CELL_NONE, CELL_SKIP = 0, 1
CELL_NAMES = ("none", "skip", "conv1x1", "conv3x3", "pool3x3")


def cell_graph(network: Network) -> Graph:
    """Operations as nodes between the sums of the cell; what leads nowhere is left out, a skip is an edge."""
    live = [(edge, op) for edge, op in zip(CELL_EDGES, network, strict=True) if op != CELL_NONE]
    ahead = {0}
    for (source, target), _ in live:
        ahead |= {target} if source in ahead else set()
    back = {3}
    for (source, target), _ in reversed(live):
        back |= {source} if target in back else set()
    labels, edges = ["input", "sum", "sum", "output"], []
    for (source, target), op in live:
        if source in ahead and target in back:
            if op == CELL_SKIP:
                edges.append((source, target))
            else:
                edges += [(source, len(labels)), (len(labels), target)]
                labels.append(CELL_NAMES[op])
    return _used(labels, edges)


def _used(labels: list[str], edges: list[tuple[int, int]]) -> Graph:
    """Leave out nodes without edges."""
    used = sorted({node for edge in edges for node in edge})
    place = {node: at for at, node in enumerate(used)}
    return [labels[node] for node in used], [(place[a], place[b]) for a, b in edges]


def cell_table(folder: Path, column: str, name: str) -> Table:
    values, function, numbers = {}, {}, {}
    for row in rows_of(folder / "nasbench201_200ep.csv.gz"):
        network = digits(row["ops"])
        values[network] = float(row[f"{column}_val"])
        function[network] = row["iso_class"]
        numbers[network] = logarithms(parameters=row["params"], operations=row["macs"])
    return Table(name, (5,) * 6, values, {network: network for network in values}, function, cell_graph, numbers)


def logarithms(**quantities: str) -> dict[str, float]:
    return {f"log10 {name}": log10(float(text)) for name, text in quantities.items() if float(text) > 0}


# --- NAS-Bench-Macro: stages of 2, 3 and 3 layers; an identity has no effect, wherever it stands in its stage

STAGES = ((0, 2), (2, 5), (5, 8))
LAYER_NAMES = ("identity", "expand3", "expand6")


def macro_function(network: Network) -> Network:
    """The first layer of a stage changes its size and stays; the others move up past identities."""
    found: list[int] = []
    for start, end in STAGES:
        kept = [op for op in network[start + 1 : end] if op]
        found += [network[start], *kept, *[0] * (end - start - 1 - len(kept))]
    return tuple(found)


def macro_graph(network: Network) -> Graph:
    labels = ["input"]
    for stage, (start, end) in enumerate(STAGES):
        inner = [op for op in network[start + 1 : end] if op]
        labels += [f"{stage}:{LAYER_NAMES[op]}" for op in (network[start], *inner)]
    labels.append("output")
    return labels, [(place, place + 1) for place in range(len(labels) - 1)]


def macro_table(folder: Path) -> Table:
    rows = {digits(row["ops"]): row for row in rows_of(folder / "nasbench_macro_c10.csv.gz")}
    alias = {network: macro_function(network) for network in rows}
    kept = {network: rows[network] for network in sorted(set(alias.values()))}
    return Table(
        "macro-c10",
        (3,) * 8,
        {network: float(row["acc_mean"]) for network, row in kept.items()},
        alias,
        {network: row["ops"] for network, row in kept.items()},
        macro_graph,
        {network: logarithms(parameters=row["params"], operations=row["flops"]) for network, row in kept.items()},
        runs={network: [float(row[f"acc_run{run}"]) for run in range(3)] for network, row in kept.items()},
    )


# --- NAS-Bench-Graph: a tree of four nodes (each names where its input comes from) and their operations

TREES = ((0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 1, 2), (0, 0, 1, 3), (0, 1, 1, 1), (0, 1, 1, 2))
TREES += ((0, 1, 2, 2), (0, 1, 2, 3))


def tree_graph(network: Network) -> Graph:
    """Nodes that feed no other feed the output."""
    tree, ops = TREES[network[0]], network[1:]
    edges = [(source, node) for node, source in enumerate(tree, start=1)]
    edges += [(node, 5) for node in range(1, 5) if node not in tree]
    return ["input", *(f"op {op}" for op in ops), "output"], edges


def symmetries(tree: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the ways to reorder the four operations that leave the tree as it is."""
    found = []
    for order in permutations(range(4)):
        moved = [0] * 4
        for node, parent in enumerate(tree):
            moved[order[node]] = order[parent - 1] + 1 if parent else 0
        if tuple(moved) == tuple(tree):
            found.append(order)
    return found


def graph_table(folder: Path, column: str, name: str) -> Table:
    values, alias, function, numbers = {}, {}, {}, {}
    same = [symmetries(tree) for tree in TREES]
    for row in rows_of(folder / "nasbench_graph.csv.gz"):
        if not row[f"{column}_val"]:
            continue
        network = (int(row["link"]), *digits(row["ops"]))
        values[network], function[network] = float(row[f"{column}_val"]), row["key"]
        numbers[network] = logarithms(parameters=row[f"{column}_params_m"])
        for order in same[network[0]]:
            alias[network[0], *(network[1 + order[node]] for node in range(4))] = network
    operations = 1 + max(max(network[1:]) for network in values)
    return Table(name, (9,) + (operations,) * 4, values, alias, function, tree_graph, numbers)


READERS: Mapping[str, Callable[[Path], Table]] = {
    "nb201-c10": partial(cell_table, column="c10", name="nb201-c10"),
    "nb201-in16": partial(cell_table, column="in16", name="nb201-in16"),
    "macro-c10": macro_table,
    "graph-cora": partial(graph_table, column="cora", name="graph-cora"),
    "graph-arxiv": partial(graph_table, column="arxiv", name="graph-arxiv"),
}
