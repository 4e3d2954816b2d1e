"""One part less: all simplifications of a genotype, and shrinking to an allowance. Deterministic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from netwright.agents.cost import relative_cost
from netwright.agents.genes import Delta, Hebbian, LongFilter, Shift
from netwright.agents.genotype import Genotype, Parallel, layer_leaves, with_genes
from netwright.agents.grammar import Allowance
from netwright.agents.leaves import Attention, Cell, Convolution, Leaf, Memory, Positions, Recurrence
from netwright.agents.sites import leaf_at, leaf_sites, with_layer, with_leaf

SIMPLER: dict[str, Any] = {
    "local": None,
    "gate": None,
    "decay": None,
    "talking": False,
    "qk_norm": "none",
    "norm": "none",
    "position": "none",
    "window": None,
    "values": "identity",
    "direct": "none",
    "gates": "output",
    "own": False,
    "gated": False,
    "depth": 1,
}


@lru_cache(maxsize=1024)
def simplifications(genotype: Genotype) -> tuple[Genotype, ...]:
    """All genotypes with one part less, the largest parts first."""
    found = [*_without_schedule(genotype), *_without_branches(genotype), *_without_genes(genotype)]
    if genotype.recipe is not None:
        found.append(with_genes(genotype, recipe=None))
    return tuple(other for other in dict.fromkeys(found) if other != genotype)


def _without_schedule(genotype: Genotype) -> Iterator[Genotype]:
    if genotype.odd is not None:
        for layer in genotype.layers:
            yield Genotype(even=layer, recipe=genotype.recipe)


def _without_branches(genotype: Genotype) -> Iterator[Genotype]:
    for index, layer in enumerate(genotype.layers):
        if isinstance(layer.body, Parallel):
            for leaf in layer_leaves(layer):
                yield with_layer(genotype, index, with_genes(layer, body=leaf))
        if layer.skip != "none":
            yield with_layer(genotype, index, with_genes(layer, skip="none"))


def _without_genes(genotype: Genotype) -> Iterator[Genotype]:
    for site in leaf_sites(genotype):
        leaf = leaf_at(genotype, site)
        for gene, value in _simpler_genes(leaf):
            other = with_genes(leaf, **{gene: value})
            if getattr(other, gene) == value:
                yield with_leaf(genotype, site, other)


def _simpler_genes(leaf: Leaf) -> Iterator[tuple[str, Any]]:
    for gene, value in SIMPLER.items():
        if gene in type(leaf).model_fields and getattr(leaf, gene) != value:
            yield gene, value
    if isinstance(leaf, Memory):
        plainer = {"removal": (Delta(), Hebbian()), "delta": (Delta(), Hebbian()), "hebbian": (Hebbian(),)}
        for rule in plainer[leaf.rule.kind]:
            if leaf.rule != rule:
                yield "rule", rule
    if isinstance(leaf, Convolution) and leaf.filter.kind in ("oscillating", "implicit"):
        yield "filter", LongFilter()
    if not isinstance(leaf, Convolution | Cell | Positions) and leaf.local == Shift(separate=True):
        yield "local", Shift()


def fit(genotype: Genotype, allowance: Allowance) -> Genotype | None:
    """Shrink until the allowance admits it, by the fewest and least costly steps found; None if nothing does."""
    for _ in range(12):
        if allowance.admits(genotype):
            return genotype
        steps = _shrinking_steps(genotype)
        fitting = [step for step in steps if allowance.admits(step)]
        if fitting:
            return max(fitting, key=allowance.size)
        smaller = [step for step in steps if _excess(step, allowance) < _excess(genotype, allowance)]
        if not smaller:
            return None
        genotype = min(smaller, key=lambda step: _excess(step, allowance))
    return None


def _excess(genotype: Genotype, allowance: Allowance) -> float:
    size = allowance.size(genotype) / max(1, allowance.parameters)
    return max(1.0, size) + max(1.0, relative_cost(genotype) / allowance.cost)


def _shrinking_steps(genotype: Genotype) -> list[Genotype]:
    steps = list(simplifications(genotype))
    for index, layer in enumerate(genotype.layers):
        if isinstance(layer.body, Parallel) and layer.body.merge != "heads":
            steps.append(with_layer(genotype, index, with_genes(layer, body=with_genes(layer.body, merge="heads"))))
    for site in leaf_sites(genotype):
        leaf = leaf_at(genotype, site)
        steps.extend(with_leaf(genotype, site, with_genes(leaf, **genes)) for genes in _smaller_genes(leaf))
    return steps


def _smaller_genes(leaf: Leaf) -> Iterator[dict[str, Any]]:
    if isinstance(leaf, Attention | Memory) and leaf.projection == "full":
        yield {"projection": "grouped"}
        yield {"projection": "low rank"}
    if isinstance(leaf, Memory) and leaf.key_width == "full":
        yield {"key_width": "half"}
    if isinstance(leaf, Cell) and leaf.cell != "tanh":
        yield {"cell": "gru" if leaf.cell == "lstm" else "tanh"}
    if isinstance(leaf, Recurrence) and leaf.rank == "full":
        yield {"rank": "low"}
    if isinstance(leaf, Attention | Memory | Recurrence) and leaf.gate is not None and leaf.gate.rank == "full":
        yield {"gate": leaf.gate.model_copy(update={"rank": "low"})}


def lighten(genotype: Genotype, allowance: Allowance) -> Genotype | None:
    """Find a variant at no more than 70% of the cost and no more parameters; None if there is none."""
    size = min(allowance.parameters, allowance.size(genotype))
    return fit(genotype, replace(allowance, parameters=size, cost=0.7 * relative_cost(genotype)))
