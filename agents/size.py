"""What a genotype costs before anything is built: parameters exactly, time relative to softmax attention.

The relative times were measured on one core at B = 16, T = 128, dim 64, 4 heads, forward and backward of the
mixer alone; they rank and bound, they do not predict.
"""

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
    Hebbian,
    Layer,
    Leaf,
    Local,
    Memory,
    Parallel,
    Recurrence,
    Shift,
)
from netwright.types import Scope


def parameters(genotype: Genotype, scope: Scope, dim: int, heads: int, layers: int) -> int:
    """Scalars in all `layers` mixers (or blocks) of what is emitted for `scope`, as `torch` would count them."""
    counts = [layer_parameters(layer, dim, heads) for layer in genotype.layers]
    mixers = sum(counts[index % len(counts)] for index in range(layers))
    return mixers + (layers * _block_frame(dim) if scope is Scope.BLOCK else 0)


def _block_frame(dim: int) -> int:
    """Scalars that a block adds to its mixer: two norms and a channel MLP of twice the width."""
    return 2 * dim + 4 * dim * dim + 3 * dim


def layer_parameters(layer: Layer, dim: int, heads: int) -> int:
    head_dim = dim // heads
    skip = {"none": 0, "scaled": dim, "gated": 2 * dim * (dim // 4) + dim}[layer.skip]
    if not isinstance(layer.body, Parallel):
        return skip + _leaf_parameters(layer.body, dim, heads, head_dim)
    return skip + _parallel_parameters(layer.body, dim, heads, head_dim)


def _parallel_parameters(body: Parallel, dim: int, heads: int, head_dim: int) -> int:
    left, right = heads, heads
    if body.merge == "heads":
        left = max(1, heads // 2)
        right = max(1, heads - left)
    choice = (dim + 1) * heads if body.merge == "gated" else 0
    branches = ((body.left, left), (body.right, right))
    return choice + sum(_leaf_parameters(leaf, dim, count, head_dim) for leaf, count in branches)


def _leaf_parameters(leaf: Leaf, dim: int, heads: int, head_dim: int) -> int:
    width = heads * head_dim
    out = width * dim
    match leaf:
        case Attention() | Memory():
            own = _memory_extras(leaf, dim, heads, head_dim) if isinstance(leaf, Memory) else 0
            norms = head_dim if leaf.norm == "rms" else 0
            talk = heads * heads if leaf.talking else 0
            return own + norms + talk + out + _gate(leaf.gate, dim, width) + _qkv(leaf, dim, heads, head_dim)
        case Convolution():
            taps = leaf.filter.kernel if leaf.filter.kind == "short" else leaf.filter.modes + 1
            inputs = (3 if leaf.gates == "both" else 2) * dim * width
            return inputs + taps * width + out + (width if leaf.norm == "rms" else 0)
        case Recurrence():
            decay = _decay_projection(dim, width, leaf.rank)
            norms = width if leaf.norm == "rms" else 0
            value = dim * width + _local(leaf.local, dim, width)
            return value + decay + norms + out + _gate(leaf.gate, dim, width)
        case _:
            assert_never(leaf)


def _key_dim(leaf: Attention | Memory, head_dim: int) -> int:
    return max(1, head_dim // 2) if isinstance(leaf, Memory) and leaf.key_width == "half" else head_dim


def _qkv(leaf: Attention | Memory, dim: int, heads: int, head_dim: int) -> int:
    key_dim, groups = _key_dim(leaf, head_dim), heads
    if leaf.projection == "grouped":
        groups = heads // 2 if heads % 2 == 0 else 1
    size = heads * key_dim + groups * key_dim + groups * head_dim
    weights = (dim // 2) * (dim + size) if leaf.projection == "low rank" else dim * size
    norms = {"none": 0, "rms": 2 * key_dim, "l2": heads if isinstance(leaf, Attention) else 0}[leaf.qk_norm]
    return weights + norms + _local(leaf.local, dim, size)


def _local(local: Local, dim: int, channels: int) -> int:
    if local is None:
        return 0
    if isinstance(local, Shift):
        return dim
    return local.kernel * (dim if local.place == "input" else channels)


def _gate(gate: Gate | None, dim: int, width: int) -> int:
    if gate is None:
        return 0
    rank = max(1, dim // 4)
    return dim * width if gate.rank == "full" else rank * (dim + width)


def _decay_projection(dim: int, channels: int, rank: str) -> int:
    low = max(1, dim // 4)
    weights = dim * channels if rank == "full" else low * (dim + channels)
    return weights + channels


def _memory_extras(leaf: Memory, dim: int, heads: int, head_dim: int) -> int:
    beta = (dim + 1) * heads if isinstance(leaf.rule, Delta) else 0
    if not isinstance(leaf.decay, DataDecay):
        return beta
    if leaf.decay.per == "head":
        return beta + (dim + 1) * heads
    return beta + _decay_projection(dim, heads * _key_dim(leaf, head_dim), "low")


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
            core = 0.95 if leaf.filter.kind == "long" else 0.35 + 0.02 * leaf.filter.kernel
            return core + _frame_cost(None, None, leaf.norm)
        case Recurrence():
            return 0.45 + _frame_cost(leaf.local, leaf.gate, leaf.norm)
        case _:
            assert_never(leaf)


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


def _memory_cost(leaf: Memory) -> float:
    if isinstance(leaf.rule, Delta):
        fixed, head, channel, plain = 1.4, 1.55, 1.6, 1.25
    else:
        fixed, head, channel, plain = 1.0, 1.25, 1.1, 0.8
    match leaf.decay:
        case None:
            core = plain
        case FixedDecay():
            core = fixed
        case DataDecay(per="head"):
            core = head
        case DataDecay():
            core = channel
    keys = {"none": 0.0, "rms": 0.1, "l2": 0.0 if isinstance(leaf.rule, Delta) else 0.3}[leaf.qk_norm]
    normaliser = 0.35 if isinstance(leaf.rule, Hebbian) and leaf.rule.normaliser else 0.0
    width = -0.1 if leaf.key_width == "half" else 0.0
    return core + keys + normaliser + width + 0.2 * (leaf.position == "rotary") + 0.6 * leaf.talking
