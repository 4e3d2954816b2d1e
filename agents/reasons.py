"""Why a genotype might work, in a paragraph, and its equations."""

from __future__ import annotations

from typing import assert_never

from netwright.agents.genes import DataDecay, Delta, FixedDecay, Gate, Local, Removal, Shift, ShortConvolution
from netwright.agents.genotype import Genotype, Layer, Parallel
from netwright.agents.leaves import Attention, Cell, Convolution, Leaf, Matching, Memory, Positions, Recurrence
from netwright.agents.words import recipe_words


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
            return _convolution_reasons(leaf)
        case Recurrence():
            return [
                "A running average per channel, at a rate that each token sets, keeps or drops features.",
                *_frame_reasons(leaf.local, leaf.gate, leaf.norm),
            ]
        case Cell() | Matching() | Positions():
            return _other_reasons(leaf)
        case _:
            assert_never(leaf)


def _convolution_reasons(leaf: Convolution) -> list[str]:
    filters = {
        "short": "Filters over the last few tokens",
        "long": "Filters that sum decaying exponentials over the whole past",
        "oscillating": "Filters that sum decaying oscillations of learned rates and frequencies",
        "implicit": "Filters as long as the row that a small network of the position writes",
    }[leaf.filter.kind]
    if leaf.gates == "glu":
        return [f"{filters} summarise each channel's past, and a gated linear unit mixes the channels."]
    if leaf.gates == "twice":
        return [f"{filters}, each with a gate after it, relate what two tokens hold at a learned distance."]
    return [f"{filters} between multiplicative gates detect patterns at little cost."]


def _other_reasons(leaf: Cell | Matching | Positions) -> list[str]:
    match leaf:
        case Cell():
            return ["A state that passes through a nonlinearity at every token can follow counters and automata."]
        case Matching():
            return [
                "Heads that look at what followed earlier occurrences of the last tokens continue what repeats.",
                *_frame_reasons(leaf.local, None, "none"),
            ]
        case Positions(gated=gated):
            reasons = ["A weight for each pair of positions learns what stands where, whatever it holds."]
            return [*reasons, "Gates let the content choose what of it passes."] if gated else reasons


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
    if isinstance(leaf.rule, Removal):
        reasons = [
            "What is removed need not be what is written, at a rate per channel, which can follow a changing state."
        ]
    elif isinstance(leaf.rule, Delta):
        reasons = ["The memory corrects what a key recalls instead of adding to it, so keys interfere less."]
        if leaf.rule.strength == 2:
            reasons.append("Write strengths up to 2 give reflections, which can follow a changing state.")
    else:
        reasons = ["A matrix per head sums outer products of values and keys: a state of fixed size to read from."]
        if leaf.rule.feature == "taylor":
            reasons.append("Taylor's expansion of the exponential sharpens the reading.")
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
    if projection == "single":
        return ["One wide query and key for all heads give the state more room."]
    if projection == "grouped":
        return ["Keys and values shared by pairs of heads leave parameters to the channel mixing."]
    return []


def _frame_reasons(local: Local, gate: Gate | None, norm: str) -> list[str]:
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
    if norm != "none":
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


_CONVOLUTIONS = {
    "output": "y_t = g_out * (filter * v)_t",
    "both": "y_t = g_out * (filter * (g_in * v))_t",
    "twice": "y_t = g_out * (filter_2 * (g_in * (filter_1 * v)))_t",
    "glu": "y_t = GLU(W gelu((filter * x)_t))",
}
_CELLS = {
    "lstm": "c_t = f * c_{t-1} + i * g;  h_t = o * tanh(c_t);  i, f, o, g of x_t and h_{t-1}",
    "gru": "h_t = u * h_{t-1} + (1 - u) * tanh(W x_t + r * (R h_{t-1}));  u, r of x_t and h_{t-1}",
    "tanh": "h_t = tanh(W x_t + R h_{t-1})",
}


def _equation(leaf: Leaf) -> str:
    match leaf:
        case Attention():
            span = "s <= t" if leaf.window is None else f"t - {leaf.window} < s <= t"
            return f"y_t = sum_{{{span}}} softmax_s(q_t . k_s) v_s"
        case Convolution():
            return _CONVOLUTIONS[leaf.gates]
        case Cell():
            return _CELLS[leaf.cell]
        case Matching():
            own = "W_1 x_t + " if leaf.own else ""
            return f"y_t = {own}W_2 mean of v_s over s <= t where k_{{s-n..s-1}} ~ k_{{t-n+1..t}}"
        case Positions():
            inner = "M x" if leaf.depth == 1 else "M_2 gelu(M_1 x)"
            return f"Y = {f'g * ({inner})' if leaf.gated else inner},  M lower triangular over positions"
        case Recurrence():
            return "h_t = a_t h_{t-1} + (1 - a_t) v_t;  log a_t = -exp(-1/2) sigmoid(W x_t)"
        case Memory():
            return _memory_equation(leaf)
        case _:
            assert_never(leaf)


def _memory_equation(leaf: Memory) -> str:
    channel = isinstance(leaf.decay, DataDecay) and leaf.decay.per == "channel"
    scale = "" if leaf.decay is None else ("diag(a_t) " if channel else "a_t ")
    if isinstance(leaf.decay, FixedDecay):
        scale = "a "
    if isinstance(leaf.rule, Removal):
        return f"S_t = {scale}S_{{t-1}} - (r_t * z_t) (S_{{t-1}}^T z_t)^T + k_t v_t^T;  y_t = S_t^T q_t"
    if isinstance(leaf.rule, Delta):
        old = f"{scale}S_{{t-1}}"
        held = f"({old})" if scale else old
        return f"S_t = {old} + b_t k_t (v_t - {held}^T k_t)^T;  y_t = S_t^T q_t"
    write = "k_t v_t^T"
    if isinstance(leaf.decay, DataDecay) and leaf.decay.coupled:
        write = f"d_t {write}" if leaf.decay.curve == "rated" else f"(1 - a_t) {write}"
    read = "S_t^T q_t / (z_t . q_t)" if leaf.rule.normaliser else "S_t^T q_t"
    return f"S_t = {scale}S_{{t-1}} + {write};  y_t = {read}"
