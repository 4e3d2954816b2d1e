"""Genotypes in plain words: titles, why an architecture might work, its equations, and differences."""

from __future__ import annotations

from typing import assert_never

from netwright.agents.genotype import (
    Attention,
    Convolution,
    DataDecay,
    Delta,
    FixedDecay,
    Gate,
    Genotype,
    Layer,
    Leaf,
    LongFilter,
    Memory,
    Parallel,
    RecipeGenes,
    Recurrence,
    Shift,
    ShortConvolution,
)

TITLE_WIDTH = 100


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


def recipe_words(recipe: RecipeGenes | None) -> str:
    if recipe is None:
        return "the task's own"
    return ", ".join(f"{name} {value}" for name, value in recipe.settings().items())


def class_name(leaf: Leaf) -> str:
    """Name the class of `leaf`, such as `GatedDeltaRule`."""
    match leaf:
        case Attention(window=window):
            return "Attention" if window is None else "LocalAttention"
        case Convolution():
            return "LongConvolution" if isinstance(leaf.filter, LongFilter) else "GatedConvolution"
        case Recurrence():
            return "GatedAverage"
        case Memory(rule=rule, decay=decay):
            gated = "Gated" if isinstance(decay, DataDecay) else ""
            if isinstance(rule, Delta):
                return f"{gated}DeltaRule"
            return "Retention" if isinstance(decay, FixedDecay) else f"{gated}LinearAttention"
        case _:
            assert_never(leaf)


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
