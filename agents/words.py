"""Names: of leaves, layers and whole genotypes, in a few plain words."""

from __future__ import annotations

from typing import assert_never

from netwright.agents.genes import (
    DataDecay,
    Delta,
    Filter,
    FixedDecay,
    Removal,
    Shift,
    ShortConvolution,
)
from netwright.agents.genotype import Genotype, Layer, Parallel, RecipeGenes
from netwright.agents.leaves import Attention, Cell, Convolution, Leaf, Matching, Memory, Positions, Recurrence

TITLE_WIDTH = 100


CELLS = {"lstm": "LSTM", "gru": "GRU", "tanh": "tanh"}
_FILTERS = {
    "short": "short convolution",
    "long": "long convolution",
    "oscillating": "state space",
    "implicit": "implicit convolution",
}


def core_title(leaf: Leaf) -> str:
    """Say what the leaf does in a few words: `gated delta rule`."""
    match leaf:
        case Attention():
            return _attention_title(leaf)
        case Memory():
            return _memory_title(leaf)
        case Convolution():
            return _convolution_title(leaf)
        case Recurrence():
            return "gated running average"
        case Cell():
            return f"{CELLS[leaf.cell]} cells"
        case Matching():
            return f"n-gram heads (up to {leaf.longest})" if leaf.longest > 1 else "matching heads"
        case Positions():
            maps = "two-layer perceptron along time" if leaf.depth == 2 else "linear map of positions"
            return f"gated {maps}" if leaf.gated else f"causal {maps}"
        case _:
            assert_never(leaf)


def _attention_title(leaf: Attention) -> str:
    name = "softmax attention" if leaf.window is None else f"local attention ({leaf.window} tokens)"
    return f"talking-heads {name}" if leaf.talking else name


def filter_name(gene: Filter) -> str:
    return _FILTERS[gene.kind]


def _convolution_title(leaf: Convolution) -> str:
    name = filter_name(leaf.filter)
    if leaf.gates == "glu":
        return f"{name} under a gated linear unit"
    return f"twice gated {name}" if leaf.gates == "twice" else f"gated {name}"


def _memory_title(leaf: Memory) -> str:
    decay = leaf.decay
    if isinstance(leaf.rule, Removal):
        gated = "channel-gated " if isinstance(decay, DataDecay) else ""
        suffix = " with fixed decay" if isinstance(decay, FixedDecay) else ""
        return f"{gated}generalised delta rule{suffix}"
    if isinstance(leaf.rule, Delta):
        prefixes = {"head": "gated ", "channel": "channel-gated "}
        prefix = prefixes[decay.per] if isinstance(decay, DataDecay) else ""
        suffix = " with fixed decay" if isinstance(decay, FixedDecay) else ""
        return f"{prefix}delta rule{suffix}"
    if decay is None:
        return "Taylor linear attention" if leaf.rule.feature == "taylor" else "linear attention"
    if isinstance(decay, FixedDecay):
        return "retention"
    if decay.curve == "rated" and decay.coupled:
        return "selective state space"
    return "head-gated linear attention" if decay.per == "head" else "channel-gated linear attention"


def leaf_title(leaf: Leaf, most: int = 3) -> str:
    """Name the core with at most `most` of its modifiers, the most telling first."""
    extras = _modifiers(leaf)[:most]
    return core_title(leaf) + (f" with {listed(extras)}" if extras else "")


def _modifiers(leaf: Leaf) -> list[str]:
    extras: list[str] = []
    if isinstance(leaf, Memory) and isinstance(leaf.rule, Delta) and leaf.rule.strength == 2:
        extras.append("overshooting writes")
    if isinstance(leaf, Attention | Memory | Recurrence | Matching):
        match leaf.local:
            case Shift(separate=separate):
                extras.append("separate token shifts" if separate else "token shift")
            case ShortConvolution():
                extras.append("short convolution")
            case None:
                pass
    if isinstance(leaf, Attention):
        extras.append({"rotary": "rotary positions", "alibi": "distance bias", "none": "no positions"}[leaf.position])
    if isinstance(leaf, Memory):
        extras.extend(_memory_modifiers(leaf))
    if isinstance(leaf, Attention | Memory | Recurrence) and leaf.gate is not None:
        extras.append(f"{leaf.gate.activation} gate")
    return extras


def _memory_modifiers(leaf: Memory) -> list[str]:
    extras = []
    if not isinstance(leaf.rule, Removal) and leaf.rule.feature not in ("identity", "taylor"):
        extras.append(f"{leaf.rule.feature} features")
    if leaf.projection == "single":
        extras.append("one key for all heads")
    if leaf.direct != "none":
        extras.append(f"{leaf.direct} own values")
    if leaf.position == "rotary":
        extras.append("rotary positions")
    if leaf.talking:
        extras.append("talking heads")
    if isinstance(leaf.decay, DataDecay) and leaf.decay.coupled and leaf.decay.curve != "rated":
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
    return f"hybrid of {listed(families)}{tail}"


def family(leaf: Leaf) -> str:
    """Name the family of `leaf`: attention, local attention, delta rule, retention, ..."""
    match leaf:
        case Attention():
            return "attention" if leaf.window is None else "local attention"
        case Memory():
            if isinstance(leaf.rule, Delta | Removal):
                return "delta rule" if isinstance(leaf.rule, Delta) else "generalised delta rule"
            return "retention" if isinstance(leaf.decay, FixedDecay) else "linear attention"
        case Convolution():
            return filter_name(leaf.filter)
        case Recurrence():
            return "running average"
        case Cell():
            return "recurrent cells"
        case Matching():
            return "n-gram heads"
        case Positions():
            return "maps of positions"
        case _:
            assert_never(leaf)


def leaf_summary(leaf: Leaf) -> str:
    """One line for the docstring of the leaf's class."""
    text = leaf_title(leaf)
    return f"{text[0].upper()}{text[1:]}: (B, T, dim) -> (B, T, dim)."


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
            names = {"oscillating": "StateSpace", "implicit": "ImplicitConvolution", "long": "LongConvolution"}
            return names.get(leaf.filter.kind, "GatedConvolution")
        case Recurrence():
            return "GatedAverage"
        case Cell():
            return f"{leaf.cell.capitalize() if leaf.cell == 'tanh' else leaf.cell.upper()}Cells"
        case Matching():
            return "MatchingHeads"
        case Positions():
            return "PositionMixing"
        case Memory(rule=rule, decay=decay):
            gated = "Gated" if isinstance(decay, DataDecay) else ""
            if isinstance(rule, Removal):
                return f"{gated}GeneralisedDeltaRule"
            if isinstance(rule, Delta):
                return f"{gated}DeltaRule"
            return "Retention" if isinstance(decay, FixedDecay) else f"{gated}LinearAttention"
        case _:
            assert_never(leaf)


def listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
