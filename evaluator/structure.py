"""What a design is made of, read from its source without running it.

source   ─▶ syntax tree ─▶ graph of operations ─▶ counts
genotype ─▶ choices       recipe, sizes        ─▶ numbers
"""

from __future__ import annotations

import ast
import math
from collections import Counter

from netwright.choices import flattened
from netwright.evaluator.contract import SOURCE_BYTES_MAX, merged_recipe, parsed
from netwright.evaluator.dataflow import flow_graph
from netwright.graph_features import graph_counts
from netwright.types import Recipe, Structure

STRUCTURE_VERSION = 1
"""Changes when the same source gets other counts or numbers: structures of another version do not compare."""


def structure_of(source: str, genotype: str | None = None, recipe: Recipe | None = None) -> Structure:
    """Return what the design is made of.

    `recipe` is what the source's RECIPE overrides; without one nothing is said of how it is trained. A source that does
    not parse, or is larger than a candidate may be, has an empty structure.

    Source of the counts: Shervashidze et al. 2011 (see `graph_features`).
    """
    tree = parsed(source) if len(source) <= SOURCE_BYTES_MAX else None
    if tree is None:
        return Structure()
    graph = flow_graph(tree)
    counts = Counter(graph_counts(graph.labels, sorted(graph.edges)))
    counts.update(graph.setting_counts())
    numbers = {
        "depth": float(graph.depth()),
        "log10 operations": math.log10(1 + len(graph.labels)),
        "log10 statements": math.log10(1 + _statements(tree)),
        **(_recipe_numbers(merged_recipe(tree, recipe)) if recipe is not None else {}),
    }
    return Structure(choices=flattened(genotype or ""), counts=dict(counts), numbers=numbers)


def with_sizes(structure: Structure, parameters: int | None, flops_per_token: float | None) -> Structure:
    """Return the structure with what is known of its network once that was built."""
    known = {"log10 parameters": parameters, "log10 flops per token": flops_per_token}
    sizes = {name: math.log10(1 + max(value, 0)) for name, value in known.items() if value is not None}
    return structure.model_copy(update={"numbers": {**structure.numbers, **sizes}})


def _statements(tree: ast.AST) -> int:
    """Count statements: the size of a source that comments and long lines do not change."""
    counted, queue = 0, [tree]
    while queue:
        node = queue.pop()
        inside = [each for body in ("body", "orelse", "finalbody") for each in getattr(node, body, ())]
        counted += len(inside)
        queue += inside
    return counted


def _recipe_numbers(recipe: Recipe) -> dict[str, float]:
    return {
        "log10 lr": math.log10(recipe.lr),
        "log10 batch size": math.log10(recipe.batch_size),
        "log10 grad clip": math.log10(recipe.grad_clip),
        "weight decay": recipe.weight_decay,
        "beta1": recipe.betas[0],
        "beta2": recipe.betas[1],
        "warmup": recipe.warmup,
        "dropout": recipe.dropout,
        "sgd": float(recipe.optimizer == "sgd"),
        "linear schedule": float(recipe.schedule == "linear"),
        "constant schedule": float(recipe.schedule == "constant"),
    }
