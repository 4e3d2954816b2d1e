"""Places in a genotype: where its leaves are, and how to put another leaf or layer there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np

from netwright.agents.genotype import Genotype, Layer, Parallel, layer_leaves, with_genes
from netwright.agents.leaves import Leaf

Side = Literal["left", "right"]
Site = tuple[int, Side | None]
T = TypeVar("T")


def leaf_sites(genotype: Genotype) -> list[Site]:
    """Where the leaves are: (layer, branch), the branch None where a layer has only one."""
    sites: list[Site] = []
    for index, layer in enumerate(genotype.layers):
        sides: tuple[Side | None, ...] = ("left", "right") if isinstance(layer.body, Parallel) else (None,)
        sites.extend((index, side) for side in sides)
    return sites


def leaf_at(genotype: Genotype, site: Site) -> Leaf:
    leaves = layer_leaves(genotype.layers[site[0]])
    return leaves[1] if site[1] == "right" else leaves[0]


def with_leaf(genotype: Genotype, site: Site, leaf: Leaf) -> Genotype:
    """Put `leaf` at `site`."""
    layer = genotype.layers[site[0]]
    body = leaf if site[1] is None else with_genes(layer.body, **{site[1]: leaf})
    return with_layer(genotype, site[0], with_genes(layer, body=body))


def with_layer(genotype: Genotype, index: int, layer: Layer) -> Genotype:
    return with_genes(genotype, **{layer_place(index): layer})


def place_of(site: Site) -> str:
    """Name a site as `netwright.choices` does: `odd.body.left`."""
    body = f"{layer_place(site[0])}.body"
    return body if site[1] is None else f"{body}.{site[1]}"


def layer_place(index: int) -> str:
    return "even" if index == 0 else "odd"


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Draw one of `options`, each with the same probability."""
    return options[int(rng.integers(len(options)))]


def weighted(rng: np.random.Generator, options: Sequence[T], weights: Sequence[float]) -> T:
    """Draw one of `options` with probabilities in proportion to `weights`."""
    left = rng.random() * sum(weights)
    for option, weight in zip(options, weights, strict=True):
        left -= weight
        if left < 0:
            return option
    return options[-1]
