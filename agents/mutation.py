"""Changing genotypes: one gene, one part more or less, two parents into one, another recipe, a calmer variant.

Every function here returns legal genotypes and never looks at what they would score. Functions that choose take the
generator; functions that list are deterministic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from netwright.agents.genes import (
    DELTA_FEATURES,
    POSITIVE_FEATURES,
    DataDecay,
    Delta,
    FixedDecay,
    Gate,
    Hebbian,
    ImplicitFilter,
    LongFilter,
    OscillatingFilter,
    Removal,
    Shift,
    ShortConvolution,
    ShortFilter,
)
from netwright.agents.genotype import Genotype, Layer, Parallel, RecipeGenes, layer_leaves, with_genes
from netwright.agents.grammar import Grammar
from netwright.agents.leaves import Attention, Cell, Convolution, Leaf, Matching, Memory, Positions, Recurrence
from netwright.agents.sites import layer_place, leaf_at, leaf_sites, pick, place_of, weighted, with_layer, with_leaf
from netwright.types import Frozen, Recipe

LOCALS = (
    None,
    Shift(),
    Shift(separate=True),
    *(ShortConvolution(place=p, kernel=k) for p in ("input", "projected") for k in (2, 4, 8)),
)
GATES = (
    None,
    *(Gate(activation=a, rank=r) for a in ("silu", "sigmoid") for r in ("full", "low")),
    Gate(activation="inner sigmoid", rank="low"),
)
HORIZONS = (8, 32, 128, 512)
DECAYS = (
    None,
    *(FixedDecay(horizon=h, shortest=s) for h in HORIZONS for s in (2, 8)),
    *(DataDecay(per="head", horizon=h, coupled=c) for h in (32, 128) for c in (False, True)),
    *(DataDecay(per="head", curve="rated", horizon=h, coupled=c) for h in (32, 128) for c in (False, True)),
    *(DataDecay(per="channel", horizon=h, coupled=c) for h in (32, 128) for c in (False, True)),
    *(DataDecay(per="channel", curve=c, squeeze="tanh") for c in ("sigmoid", "softplus")),
    *(DataDecay(per="channel", curve="softplus", horizon=h) for h in (32, 128)),
)
RULES = (
    *(Delta(feature=f, strength=s) for f in DELTA_FEATURES for s in (1, 2)),
    *(Hebbian(feature=f) for f in ("identity", "silu", *POSITIVE_FEATURES)),
    *(Hebbian(feature=f, normaliser=True) for f in POSITIVE_FEATURES),
    Removal(),
)
FILTERS = (
    *(ShortFilter(kernel=k) for k in (2, 4, 8)),
    *(LongFilter(modes=m) for m in (4, 8)),
    *(OscillatingFilter(pairs=p) for p in (4, 8, 16)),
    *(ImplicitFilter(bands=b) for b in (4, 8)),
)

ALTERNATIVES: dict[type[Frozen], dict[str, tuple[Any, ...]]] = {
    Attention: {
        "projection": ("full", "low rank", "grouped"),
        "local": LOCALS,
        "window": (None, 16, 32, 64),
        "position": ("none", "rotary", "alibi"),
        "qk_norm": ("none", "l2", "rms"),
        "talking": (False, True),
        "norm": ("none", "rms"),
        "gate": GATES,
    },
    Memory: {
        "projection": ("full", "low rank", "grouped", "single"),
        "local": LOCALS,
        "rule": RULES,
        "decay": DECAYS,
        "key_width": ("full", "half"),
        "position": ("none", "rotary"),
        "qk_norm": ("none", "l2", "rms"),
        "talking": (False, True),
        "values": ("identity", "silu"),
        "direct": ("none", "scaled", "matched"),
        "norm": ("none", "rms", "layer", "joint"),
        "gate": GATES,
    },
    Convolution: {"filter": FILTERS, "gates": ("output", "both", "twice", "glu"), "norm": ("none", "rms")},
    Recurrence: {
        "local": LOCALS,
        "horizon": HORIZONS,
        "rank": ("full", "low"),
        "norm": ("none", "rms"),
        "gate": GATES,
    },
    Cell: {"cell": ("lstm", "gru", "tanh"), "norm": ("none", "rms")},
    Matching: {"longest": (1, 2, 3, 4), "local": LOCALS, "own": (False, True)},
    Positions: {"depth": (1, 2), "gated": (False, True)},
}


def gene_variants(leaf: Leaf, gene: str) -> list[Leaf]:
    """All leaves that differ from `leaf` in `gene`; what must follow the gene is taken along."""
    old = getattr(leaf, gene)
    others = [with_genes(leaf, **{gene: value}) for value in ALTERNATIVES[type(leaf)][gene] if value != old]
    return [other for other in dict.fromkeys(others) if getattr(other, gene) != old]


def mutate(rng: np.random.Generator, genotype: Genotype, grammar: Grammar) -> Genotype:
    """Change one thing: mostly a gene, sometimes a leaf, a branch, the skip or the layer schedule."""
    moves = {
        _mutate_gene: 0.66,
        _replace_leaf: 0.08,
        _mutate_branches: 0.12,
        _mutate_schedule: 0.08,
        _mutate_skip: 0.06,
    }
    return weighted(rng, list(moves), list(moves.values()))(rng, genotype, grammar)


def _mutate_gene(rng: np.random.Generator, genotype: Genotype, grammar: Grammar) -> Genotype:
    site = pick(rng, leaf_sites(genotype))
    leaf = leaf_at(genotype, site)
    genes = list(ALTERNATIVES[type(leaf)])
    for index in rng.permutation(len(genes)):
        if variants := gene_variants(leaf, genes[index]):
            place = f"{place_of(site)}.{genes[index]}"
            likings = [grammar.liking(place, getattr(variant, genes[index])) for variant in variants]
            return with_leaf(genotype, site, weighted(rng, variants, likings))
    return genotype


def _replace_leaf(rng: np.random.Generator, genotype: Genotype, grammar: Grammar) -> Genotype:
    site = pick(rng, leaf_sites(genotype))
    return with_leaf(genotype, site, grammar.other_leaf(rng, leaf_at(genotype, site), place_of(site)))


def _mutate_branches(rng: np.random.Generator, genotype: Genotype, grammar: Grammar) -> Genotype:
    index = int(rng.integers(len(genotype.layers)))
    layer, place = genotype.layers[index], f"{layer_place(index)}.body"
    if isinstance(layer.body, Parallel):
        merges = [merge for merge in ("sum", "gated", "heads") if merge != layer.body.merge]
        body = with_genes(layer.body, merge=grammar.pick(rng, f"{place}.merge", merges))
    else:
        other = grammar.other_leaf(rng, layer.body, f"{place}.right")
        body = Parallel(left=layer.body, right=other, merge=grammar.choose(rng, "merge", f"{place}.merge"))
    return with_layer(genotype, index, with_genes(layer, body=body))


def _mutate_schedule(rng: np.random.Generator, genotype: Genotype, grammar: Grammar) -> Genotype:
    if genotype.odd is not None:
        return with_genes(genotype, even=genotype.odd, odd=genotype.even)
    first = rng.random() < 0.5
    new = Layer(body=grammar.other_leaf(rng, layer_leaves(genotype.even)[0], "even.body" if first else "odd.body"))
    if first:
        return with_genes(genotype, even=new, odd=genotype.even)
    return with_genes(genotype, odd=new)


def _mutate_skip(rng: np.random.Generator, genotype: Genotype, grammar: Grammar) -> Genotype:
    index = int(rng.integers(len(genotype.layers)))
    layer = genotype.layers[index]
    skips = [skip for skip in ("none", "scaled", "gated") if skip != layer.skip]
    skip = grammar.pick(rng, f"{layer_place(index)}.skip", skips)
    return with_layer(genotype, index, with_genes(layer, skip=skip))


def combine(rng: np.random.Generator, first: Genotype, second: Genotype, grammar: Grammar) -> Genotype:
    """Cross two parents: side by side, in alternate layers, the genes of both in one leaf, or a leaf exchanged."""
    moves = {_side_by_side: 0.3, _alternating: 0.3, _mixed_genes: 0.25, _exchanged: 0.15}
    return weighted(rng, list(moves), list(moves.values()))(rng, first, second, grammar)


def _side_by_side(rng: np.random.Generator, first: Genotype, second: Genotype, grammar: Grammar) -> Genotype:
    left, right = pick(rng, list(first.leaves)), pick(rng, list(second.leaves))
    body = Parallel(left=left, right=right, merge=grammar.choose(rng, "merge", "even.body.merge"))
    return Genotype(even=Layer(body=body), recipe=first.recipe)


def _alternating(rng: np.random.Generator, first: Genotype, second: Genotype, grammar: Grammar) -> Genotype:
    one, other = pick(rng, list(first.layers)), pick(rng, list(second.layers))
    even, odd = (one, other) if rng.random() < 0.5 else (other, one)
    return Genotype(even=even, odd=odd, recipe=first.recipe)


def _mixed_genes(rng: np.random.Generator, first: Genotype, second: Genotype, grammar: Grammar) -> Genotype:
    """Give a leaf of the first parent about half of the genes that a leaf of the second has and can lend."""
    site = pick(rng, leaf_sites(first))
    leaf, donor = leaf_at(first, site), pick(rng, list(second.leaves))
    shared = [gene for gene in ALTERNATIVES[type(leaf)] if gene in type(donor).model_fields]
    if not isinstance(donor, type(leaf)):
        shared = [gene for gene in shared if gene in ("local", "gate", "norm", "projection")]
    lent = {gene: getattr(donor, gene) for gene in shared if rng.random() < 0.5}
    # A memory has norms and projections that other leaves have not.
    options = ALTERNATIVES[type(leaf)]
    genes = {gene: value for gene, value in lent.items() if not isinstance(value, str) or value in options[gene]}
    return with_leaf(first, site, with_genes(leaf, **genes))


def _exchanged(rng: np.random.Generator, first: Genotype, second: Genotype, grammar: Grammar) -> Genotype:
    return with_leaf(first, pick(rng, leaf_sites(first)), pick(rng, list(second.leaves)))


def tune(rng: np.random.Generator, genotype: Genotype, base: Recipe, changes: int = 1) -> Genotype:
    """Change `changes` settings of the recipe, sometimes one more; `base` is the task's own recipe."""
    settings = _settings(genotype)
    for gene in _recipe_genes(rng, changes):
        current = settings.get(gene, getattr(base, gene))
        choices = [value for value in _recipe_choices(gene, current, base) if value != current]
        settings[gene] = pick(rng, choices)
    # A setting that is the task's own says nothing.
    settings = {gene: value for gene, value in settings.items() if value != getattr(base, gene)}
    return with_genes(genotype, recipe=RecipeGenes(**settings) if settings else None)


def _recipe_genes(rng: np.random.Generator, changes: int) -> list[str]:
    genes = ["lr", "weight_decay", "warmup", "batch_size", "grad_clip", "schedule"]
    weights = np.array([0.5, 0.1, 0.12, 0.13, 0.05, 0.1])
    count = min(len(genes), changes + int(rng.random() < 0.2))
    return [genes[index] for index in rng.choice(len(genes), size=count, replace=False, p=weights)]


def _recipe_choices(gene: str, current: Any, base: Recipe) -> tuple[Any, ...]:
    match gene:
        case "lr":
            factors = (0.5, 0.7, 1.5, 2.0)
            return tuple(float(f"{min(0.05, max(1e-5, current * factor)):.2g}") for factor in factors)
        case "weight_decay":
            return (0.0, 0.01, 0.1)
        case "warmup":
            return (0.02, 0.05, 0.1, 0.2)
        case "batch_size":
            return (max(1, base.batch_size // 2), base.batch_size, min(1024, base.batch_size * 2))
        case "grad_clip":
            return (0.3, 1.0, 3.0)
        case _:
            return ("cosine", "linear")


def stabilise(genotype: Genotype, base: Recipe) -> Genotype:
    """Calm an unstable architecture: normalise everywhere, halve the learning rate, clip harder, warm up longer."""
    for site in leaf_sites(genotype):
        leaf = leaf_at(genotype, site)
        genes: dict[str, Any] = {"norm": "rms"} if getattr(leaf, "norm", "rms") == "none" else {}
        if isinstance(leaf, Attention | Memory) and leaf.qk_norm == "none":
            genes["qk_norm"] = "rms" if isinstance(leaf, Attention) else "l2"
        genotype = with_leaf(genotype, site, with_genes(leaf, **genes))
    recipe = {**base.model_dump(include=set(RecipeGenes.model_fields)), **_settings(genotype)}
    calm = {
        "lr": max(1e-6, float(f"{recipe['lr'] / 2:.2g}")),
        "grad_clip": min(0.5, recipe["grad_clip"]),
        "warmup": max(0.2, recipe["warmup"]),
    }
    return with_genes(genotype, recipe=RecipeGenes(**{**_settings(genotype), **calm}))


def _settings(genotype: Genotype) -> dict[str, Any]:
    return genotype.recipe.settings() if genotype.recipe else {}
