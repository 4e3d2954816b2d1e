"""Genotypes in plain words: titles, why an architecture might work, its equations, and differences."""

from __future__ import annotations

from typing import Any, assert_never

from netwright.agents.genotype import (
    Attention,
    Convolution,
    DataDecay,
    Delta,
    FixedDecay,
    Gate,
    Genotype,
    Hebbian,
    Layer,
    Leaf,
    LongFilter,
    Memory,
    Parallel,
    RecipeGenes,
    Recurrence,
    Shift,
    ShortConvolution,
    ShortFilter,
)

TITLE_WIDTH = 100

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
}


def core_title(leaf: Leaf) -> str:
    """Say what the leaf does in a few words: `gated delta rule`."""
    match leaf:
        case Attention():
            return _attention_title(leaf)
        case Memory():
            return _memory_title(leaf)
        case Convolution():
            long = isinstance(leaf.filter, LongFilter)
            return "gated long convolution" if long else "gated short convolution"
        case Recurrence():
            return "gated running average"
        case _:
            assert_never(leaf)


def _attention_title(leaf: Attention) -> str:
    name = "softmax attention" if leaf.window is None else f"local attention ({leaf.window} tokens)"
    return f"talking-heads {name}" if leaf.talking else name


def _memory_title(leaf: Memory) -> str:
    decay = leaf.decay
    if isinstance(leaf.rule, Delta):
        prefixes = {"head": "gated ", "channel": "channel-gated "}
        prefix = prefixes[decay.per] if isinstance(decay, DataDecay) else ""
        suffix = " with fixed decay" if isinstance(decay, FixedDecay) else ""
        return f"{prefix}delta rule{suffix}"
    if decay is None:
        return "linear attention"
    if isinstance(decay, FixedDecay):
        return "retention"
    return "head-gated linear attention" if decay.per == "head" else "channel-gated linear attention"


def leaf_title(leaf: Leaf, most: int = 3) -> str:
    """Name the core with at most `most` of its modifiers, the most telling first."""
    extras = _modifiers(leaf)[:most]
    return core_title(leaf) + (f" with {_listed(extras)}" if extras else "")


def _modifiers(leaf: Leaf) -> list[str]:
    extras: list[str] = []
    if isinstance(leaf, Memory) and isinstance(leaf.rule, Delta) and leaf.rule.strength == 2:
        extras.append("overshooting writes")
    if isinstance(leaf, Attention | Memory | Recurrence):
        match leaf.local:
            case Shift():
                extras.append("token shift")
            case ShortConvolution():
                extras.append("short convolution")
            case None:
                pass
    if isinstance(leaf, Attention):
        extras.append({"rotary": "rotary positions", "alibi": "distance bias", "none": "no positions"}[leaf.position])
    if isinstance(leaf, Memory):
        extras.extend(_memory_modifiers(leaf))
    if not isinstance(leaf, Convolution) and leaf.gate is not None:
        extras.append(f"{leaf.gate.activation} gate")
    return extras


def _memory_modifiers(leaf: Memory) -> list[str]:
    extras = []
    if leaf.rule.feature != "identity":
        extras.append(f"{leaf.rule.feature} features")
    if leaf.position == "rotary":
        extras.append("rotary positions")
    if leaf.talking:
        extras.append("talking heads")
    if isinstance(leaf.decay, DataDecay) and leaf.decay.coupled:
        extras.append("coupled writes")
    return extras


def layer_title(layer: Layer, most: int = 3) -> str:
    body = layer.body
    if isinstance(body, Parallel):
        joint = {"sum": "beside", "gated": "blended with", "heads": "sharing heads with"}[body.merge]
        title = f"{leaf_title(body.left, most)} {joint} {leaf_title(body.right, most)}"
    else:
        title = leaf_title(body, most)
    return title if layer.skip == "none" else f"{title}, {layer.skip} skip"


def title(genotype: Genotype) -> str:
    """Name the architecture in one line, without a full stop, with as many modifiers as fit."""
    texts = [*(_title(genotype, most) for most in (3, 2, 1, 0)), _family_title(genotype)]
    text = next((text for text in texts if len(text) <= TITLE_WIDTH), texts[-1])
    return text[0].upper() + text[1:]


def _title(genotype: Genotype, most: int) -> str:
    if genotype.odd is None:
        return layer_title(genotype.even, most)
    return f"{layer_title(genotype.even, most)}; every second layer {layer_title(genotype.odd, most)}"


def _family_title(genotype: Genotype) -> str:
    families = list(dict.fromkeys(family(leaf) for leaf in genotype.leaves))
    tail = "" if genotype.odd is None else " in alternating layers"
    return f"hybrid of {_listed(families)}{tail}"


def family(leaf: Leaf) -> str:
    """Name the family of `leaf`: attention, local attention, delta rule, retention, ..."""
    match leaf:
        case Attention():
            return "attention" if leaf.window is None else "local attention"
        case Memory():
            if isinstance(leaf.rule, Delta):
                return "delta rule"
            return "retention" if isinstance(leaf.decay, FixedDecay) else "linear attention"
        case Convolution():
            return "long convolution" if isinstance(leaf.filter, LongFilter) else "short convolution"
        case Recurrence():
            return "running average"
        case _:
            assert_never(leaf)


def leaf_summary(leaf: Leaf) -> str:
    """One line for the docstring of the leaf's class."""
    text = leaf_title(leaf)
    return f"{text[0].upper()}{text[1:]}: (B, T, dim) -> (B, T, dim)."


def hypothesis(genotype: Genotype) -> str:
    """One paragraph: why this architecture might work."""
    sentences: list[str] = []
    for leaf in genotype.leaves:
        sentences.extend(_leaf_reasons(leaf))
    for layer in genotype.layers:
        sentences.extend(_layer_reasons(layer))
    if genotype.odd is not None:
        sentences.append("Alternating layers let one kind of mixing prepare what the other reads.")
    if genotype.recipe is not None:
        sentences.append(f"Trained with its own recipe: {recipe_words(genotype.recipe)}.")
    return " ".join(dict.fromkeys(sentences))


def _leaf_reasons(leaf: Leaf) -> list[str]:
    match leaf:
        case Attention():
            return _attention_reasons(leaf)
        case Memory():
            return _memory_reasons(leaf)
        case Convolution():
            reach = "the whole past" if isinstance(leaf.filter, LongFilter) else "the last few tokens"
            return [f"Filters over {reach} between multiplicative gates detect local patterns at little cost."]
        case Recurrence():
            return [
                "A running average per channel, at a rate that each token sets, keeps or drops features.",
                *_frame_reasons(leaf.local, leaf.gate, leaf.norm),
            ]
        case _:
            assert_never(leaf)


def _attention_reasons(leaf: Attention) -> list[str]:
    reasons = ["Softmax attention looks up any earlier token exactly."]
    if leaf.window is not None:
        reasons = [f"Attention over the last {leaf.window} tokens gives sharp local context at a bounded span."]
    if leaf.position == "alibi":
        reasons.append("A penalty that grows with distance favours recent tokens, at another scale in each head.")
    if leaf.position == "none":
        reasons.append("Without positions the scores depend on content alone.")
    if leaf.qk_norm != "none":
        reasons.append("Normalised queries and keys keep the scores in range at high learning rates.")
    if leaf.talking:
        reasons.append("Mixing the weights across heads lets heads share what they found.")
    return reasons + _projection_reasons(leaf.projection) + _frame_reasons(leaf.local, leaf.gate, leaf.norm)


def _memory_reasons(leaf: Memory) -> list[str]:
    if isinstance(leaf.rule, Delta):
        reasons = ["The memory corrects what a key recalls instead of adding to it, so keys interfere less."]
        if leaf.rule.strength == 2:
            reasons.append("Write strengths up to 2 give reflections, which can follow a changing state.")
    else:
        reasons = ["A matrix per head sums outer products of values and keys: a state of fixed size to read from."]
    match leaf.decay:
        case FixedDecay():
            reasons.append("Each head forgets at its own fixed rate, so the heads span many time scales.")
        case DataDecay(per=per, coupled=coupled):
            reasons.append(f"Each token decides per {per} how much of the past survives.")
            if coupled:
                reasons.append("What is written is as much as what was forgotten, so the state keeps its scale.")
        case None:
            pass
    if leaf.talking:
        reasons.append("Mixing the scores across heads lets heads share what they found.")
    return reasons + _projection_reasons(leaf.projection) + _frame_reasons(leaf.local, leaf.gate, leaf.norm)


def _projection_reasons(projection: str) -> list[str]:
    if projection == "low rank":
        return ["A low-rank projection leaves parameters to the channel mixing."]
    if projection == "grouped":
        return ["Keys and values shared by pairs of heads leave parameters to the channel mixing."]
    return []


def _frame_reasons(local: Shift | ShortConvolution | None, gate: Gate | None, norm: str) -> list[str]:
    reasons = []
    match local:
        case Shift():
            reasons.append("Token shift shows every projection the token before.")
        case ShortConvolution():
            reasons.append("A short convolution lets keys depend on their neighbours, which recall needs.")
        case None:
            pass
    if gate is not None:
        reasons.append("The output gate drops what the current token does not need.")
    if norm == "rms":
        reasons.append("Normalising the output keeps its scale however much was summed.")
    return reasons


def _layer_reasons(layer: Layer) -> list[str]:
    reasons = []
    if isinstance(layer.body, Parallel):
        reasons.append(
            {
                "sum": "The two branches add up, each free to do what the other cannot.",
                "gated": "A gate chooses per token which of the two branches to trust.",
                "heads": "Each branch has half of the heads, so both fit into the size of one.",
            }[layer.body.merge]
        )
    if layer.skip != "none":
        reasons.append("A learned skip lets a layer do less where mixing does not help.")
    return reasons


def equations(genotype: Genotype) -> list[str]:
    """Write the core equations, one leaf a line."""
    return list(dict.fromkeys(_equation(leaf) for leaf in genotype.leaves))


def _equation(leaf: Leaf) -> str:
    match leaf:
        case Attention():
            span = "s <= t" if leaf.window is None else f"t - {leaf.window} < s <= t"
            return f"y_t = sum_{{{span}}} softmax_s(q_t . k_s) v_s"
        case Convolution():
            inner = "(g_in * v)" if leaf.gates == "both" else "v"
            return f"y_t = g_out * (filter * {inner})_t"
        case Recurrence():
            return "h_t = a_t h_{t-1} + (1 - a_t) v_t;  log a_t = -sigmoid(W x_t)"
        case Memory():
            return _memory_equation(leaf)
        case _:
            assert_never(leaf)


def _memory_equation(leaf: Memory) -> str:
    channel = isinstance(leaf.decay, DataDecay) and leaf.decay.per == "channel"
    scale = "" if leaf.decay is None else ("diag(a_t) " if channel else "a_t ")
    if isinstance(leaf.decay, FixedDecay):
        scale = "a "
    if isinstance(leaf.rule, Delta):
        old = f"{scale}S_{{t-1}}"
        return f"S_t = {old} + b_t k_t (v_t - ({old})^T k_t)^T;  y_t = S_t^T q_t"
    write = "(1 - a_t) k_t v_t^T" if isinstance(leaf.decay, DataDecay) and leaf.decay.coupled else "k_t v_t^T"
    read = "S_t^T q_t / (z_t . q_t)" if leaf.rule.normaliser else "S_t^T q_t"
    return f"S_t = {scale}S_{{t-1}} + {write};  y_t = {read}"


def gene_words(value: Any) -> str:
    """Say a gene's value as a reader would."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Hebbian | Delta):
        return _rule_words(value)
    if isinstance(value, FixedDecay | DataDecay):
        return _decay_words(value)
    return _part_words(value)


def _rule_words(rule: Hebbian | Delta) -> str:
    if isinstance(rule, Delta):
        return f"delta, {rule.feature} features, write strength up to {rule.strength}"
    return f"Hebbian, {rule.feature} features{', normalised' if rule.normaliser else ''}"


def _decay_words(decay: FixedDecay | DataDecay) -> str:
    if isinstance(decay, FixedDecay):
        return f"fixed per head, half-lives up to {decay.horizon}"
    coupled = ", writes coupled" if decay.coupled else ""
    return f"data-dependent per {decay.per}, half-lives up to {decay.horizon}{coupled}"


def _part_words(value: Any) -> str:
    match value:
        case Shift():
            return "token shift"
        case ShortConvolution(place=place, kernel=kernel):
            return f"convolution of the {'input' if place == 'input' else 'projections'} over {kernel} tokens"
        case Gate(activation=activation, rank=rank):
            return f"{activation}{' of low rank' if rank == 'low' else ''}"
        case ShortFilter(kernel=kernel):
            return f"{kernel} taps"
        case LongFilter(modes=modes):
            return f"{modes} decaying exponentials"
        case _:
            return str(value)


def recipe_words(recipe: RecipeGenes | None) -> str:
    if recipe is None:
        return "the task's own"
    return ", ".join(f"{name} {value}" for name, value in recipe.settings().items())


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


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
