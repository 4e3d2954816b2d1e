"""How long a genotype takes before anything is built, relative to softmax attention.

The relative times were measured on one core at B = 16, T = 128, dim 64, 4 heads, forward and backward of the
mixer alone; they rank and bound, they do not predict.
"""

from __future__ import annotations

from typing import assert_never

from netwright.agents.genes import DataDecay, FixedDecay, Gate, Hebbian, Local, Removal, Shift
from netwright.agents.genotype import Genotype, Layer, Parallel
from netwright.agents.leaves import Attention, Cell, Convolution, Leaf, Matching, Memory, Positions, Recurrence


def relative_cost(genotype: Genotype) -> float:
    """Estimate the mixers' time relative to rotary softmax attention (1.0), averaged over layers."""
    layers = genotype.layers
    return sum(_layer_cost(layer) for layer in layers) / len(layers)


def _layer_cost(layer: Layer) -> float:
    skip = {"none": 0.0, "scaled": 0.07, "gated": 0.2}[layer.skip]
    body = layer.body
    if not isinstance(body, Parallel):
        return skip + _leaf_cost(body)
    share = 0.65 if body.merge == "heads" else 1.0
    return skip + share * (_leaf_cost(body.left) + _leaf_cost(body.right))


def _leaf_cost(leaf: Leaf) -> float:
    match leaf:
        case Attention():
            return _attention_cost(leaf) + _frame_cost(leaf.local, leaf.gate, leaf.norm)
        case Memory():
            return _memory_cost(leaf) + _frame_cost(leaf.local, leaf.gate, leaf.norm)
        case Convolution():
            return _convolution_cost(leaf) + _frame_cost(None, None, leaf.norm)
        case Recurrence():
            return 0.45 + _frame_cost(leaf.local, leaf.gate, leaf.norm)
        case Cell():
            return {"lstm": 0.4, "gru": 1.6, "tanh": 0.6}[leaf.cell] + _frame_cost(None, None, leaf.norm)
        case Matching():
            return 1.3 + 0.1 * leaf.longest + _frame_cost(leaf.local, None, "none")
        case Positions():
            return 0.05 + 0.2 * leaf.depth + 0.2 * leaf.gated
        case _:
            assert_never(leaf)


def _convolution_cost(leaf: Convolution) -> float:
    match leaf.filter.kind:
        case "short":
            core = 0.02 * leaf.filter.kernel
        case "long":
            core = 0.6
        case "oscillating":
            core = 0.55 + 0.025 * leaf.filter.pairs
        case "implicit":
            core = 0.5
    return 0.35 + core * (2 if leaf.gates == "twice" else 1)


def _frame_cost(local: Local, gate: Gate | None, norm: str) -> float:
    mixing = 0.0
    if isinstance(local, Shift):
        mixing = 0.07
    elif local is not None:
        mixing = 0.06 + 0.03 * local.kernel if local.place == "input" else 0.25 + 0.04 * local.kernel
    return mixing + 0.14 * (gate is not None) + 0.1 * (norm == "rms")


def _attention_cost(leaf: Attention) -> float:
    position = {"none": 0.0, "rotary": 0.2, "alibi": 0.4}[leaf.position]
    keys = {"none": 0.0, "rms": 0.1, "l2": 0.3}[leaf.qk_norm]
    return 0.8 + position + keys + 0.65 * leaf.talking


# By rule: no decay, a fixed one, one per head, one per channel.
_CORES = {"hebbian": (0.8, 1.0, 1.25, 1.1), "delta": (1.25, 1.4, 1.55, 1.6), "removal": (2.2, 2.2, 2.3, 2.3)}


def _memory_cost(leaf: Memory) -> float:
    plain, fixed, head, channel = _CORES[leaf.rule.kind]
    match leaf.decay:
        case None:
            core = plain
        case FixedDecay():
            core = fixed
        case DataDecay(per="head"):
            core = head
        case DataDecay(curve=curve):
            core = channel + 0.3 * (curve == "softplus")
    width = -0.1 if leaf.key_width == "half" else 0.0
    position = 0.2 * (leaf.position == "rotary") + 0.6 * leaf.talking
    values = 0.1 * (leaf.values == "silu") + 0.1 * (leaf.direct != "none")
    return core + width + position + values + _key_cost(leaf)


def _key_cost(leaf: Memory) -> float:
    """Features and normalisation of queries and keys, and of what they read."""
    norms = {"none": 0.0, "rms": 0.1, "l2": 0.1}[leaf.qk_norm]
    if isinstance(leaf.rule, Removal):
        return norms
    feature = {"identity": 0.0, "taylor": 0.5}.get(leaf.rule.feature, 0.2)
    return norms + feature + 0.2 * (isinstance(leaf.rule, Hebbian) and leaf.rule.normaliser)
