"""What one genotype changed against another, gene by gene, in words."""

from __future__ import annotations

from typing import Any

from netwright.agents.genes import (
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
from netwright.agents.genotype import Genotype, Layer, Parallel
from netwright.agents.leaves import Leaf
from netwright.agents.words import layer_title, leaf_title, recipe_words

GENE_NAMES = {
    "projection": "projection of q, k, v",
    "local": "local mixing",
    "window": "window",
    "position": "positions",
    "qk_norm": "normalisation of q and k",
    "talking": "head mixing",
    "norm": "output norm",
    "gate": "output gate",
    "rule": "update rule",
    "decay": "decay",
    "key_width": "key width",
    "filter": "filter",
    "gates": "gates",
    "horizon": "longest half-life",
    "rank": "rank of the decay",
    "values": "activation of values",
    "direct": "own value",
    "cell": "cell",
    "longest": "longest n-gram",
    "own": "projection of the token itself",
    "depth": "maps",
    "gated": "gates",
}


def gene_words(value: Any) -> str:
    """Say a gene's value as a reader would."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Hebbian | Delta | Removal):
        return _rule_words(value)
    if isinstance(value, FixedDecay | DataDecay):
        return _decay_words(value)
    return _part_words(value)


def _rule_words(rule: Hebbian | Delta | Removal) -> str:
    if isinstance(rule, Removal):
        return "removal under a key of its own"
    if isinstance(rule, Delta):
        return f"delta, {rule.feature} features, write strength up to {rule.strength}"
    return f"Hebbian, {rule.feature} features{', normalised' if rule.normaliser else ''}"


def _decay_words(decay: FixedDecay | DataDecay) -> str:
    if isinstance(decay, FixedDecay):
        return f"fixed per head, spans from {decay.shortest} to {decay.horizon}"
    curve = "" if decay.curve == ("softplus" if decay.per == "head" else "sigmoid") else f", {decay.curve}"
    squeeze = ", tanh in the middle" if decay.squeeze == "tanh" else ""
    coupled = ", writes coupled" if decay.coupled else ""
    return f"data-dependent per {decay.per}{curve}{squeeze}, half-lives up to {decay.horizon}{coupled}"


def _part_words(value: Any) -> str:
    match value:
        case Shift(separate=separate):
            return "token shifts of their own" if separate else "token shift"
        case ShortConvolution(place=place, kernel=kernel):
            return f"convolution of the {'input' if place == 'input' else 'projections'} over {kernel} tokens"
        case Gate(activation=activation, rank=rank):
            return f"{activation}{' of low rank' if rank == 'low' else ''}"
        case ShortFilter(kernel=kernel):
            return f"{kernel} taps"
        case LongFilter(modes=modes):
            return f"{modes} decaying exponentials"
        case OscillatingFilter(pairs=pairs):
            return f"{pairs} decaying oscillations"
        case ImplicitFilter(bands=bands):
            return f"taps computed from {bands} bands of the position"
        case _:
            return str(value)


def difference(before: Genotype, after: Genotype) -> str:
    """Say what `after` changed against `before`, gene by gene; '' if nothing."""
    changes: list[str] = []
    if (before.odd is None) != (after.odd is None):
        changes.append(_schedule_change(before, after))
        if before.even != after.even:
            changes.extend(_layer_changes(before.even, after.even, "even layers: "))
    else:
        changes.extend(_layer_changes(before.even, after.even, "" if before.odd is None else "even layers: "))
        if before.odd is not None and after.odd is not None:
            changes.extend(_layer_changes(before.odd, after.odd, "odd layers: "))
    if before.recipe != after.recipe:
        changes.append(f"recipe: {recipe_words(before.recipe)} -> {recipe_words(after.recipe)}")
    return "; ".join(changes)


def _schedule_change(before: Genotype, after: Genotype) -> str:
    if after.odd is None:
        return "every layer alike instead of alternating"
    return f"every second layer becomes {layer_title(after.odd)}"


def _layer_changes(before: Layer, after: Layer, where: str) -> list[str]:
    changes = []
    old, new = before.body, after.body
    if isinstance(old, Parallel) and isinstance(new, Parallel):
        if new.left == old.right or new.right == old.left:  # which branch is named first says nothing
            new = Parallel(left=new.right, right=new.left, merge=new.merge)
        changes.extend(_leaf_changes(old.left, new.left, f"{where}left branch: "))
        changes.extend(_leaf_changes(old.right, new.right, f"{where}right branch: "))
        if old.merge != new.merge:
            changes.append(f"{where}merge: {old.merge} -> {new.merge}")
    elif isinstance(old, Parallel) or isinstance(new, Parallel):
        changes.append(f"{where}{_body_title(old)} -> {_body_title(new)}")
    else:
        changes.extend(_leaf_changes(old, new, where))
    if before.skip != after.skip:
        changes.append(f"{where}skip: {before.skip} -> {after.skip}")
    return changes


def _body_title(body: Leaf | Parallel) -> str:
    return layer_title(Layer(body=body))


def _leaf_changes(before: Leaf, after: Leaf, where: str) -> list[str]:
    if type(before) is not type(after):
        return [f"{where}{leaf_title(before)} -> {leaf_title(after)}"]
    changes = []
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            changes.append(f"{where}{GENE_NAMES[name]}: {gene_words(old)} -> {gene_words(new)}")
    return changes
