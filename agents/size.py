"""How many parameters a genotype has, exactly, before anything is built."""

from __future__ import annotations

from typing import NamedTuple, assert_never

from netwright.agents.genes import (
    DataDecay,
    Delta,
    Filter,
    Gate,
    ImplicitFilter,
    Local,
    LongFilter,
    OscillatingFilter,
    Removal,
    Shift,
    ShortFilter,
)
from netwright.agents.genotype import Genotype, Layer, Parallel
from netwright.agents.leaves import Attention, Cell, Convolution, Leaf, Matching, Memory, Positions, Recurrence
from netwright.types import Scope


class Sizes(NamedTuple):
    """What a leaf is built from: channels, heads of its own, channels of a head, tokens of the longest row."""

    dim: int
    heads: int
    head_dim: int
    max_len: int

    @property
    def width(self) -> int:
        return self.heads * self.head_dim


def parameters(genotype: Genotype, scope: Scope, dim: int, heads: int, layers: int, max_len: int) -> int:
    """Scalars in all `layers` mixers (or blocks) of what is emitted for `scope`, as `torch` would count them."""
    sizes = Sizes(dim, heads, dim // heads, max_len)
    counts = [_layer_parameters(layer, sizes) for layer in genotype.layers]
    mixers = sum(counts[index % len(counts)] for index in range(layers))
    return mixers + (layers * _block_frame(dim) if scope is Scope.BLOCK else 0)


def _block_frame(dim: int) -> int:
    """Scalars that a block adds to its mixer: two norms and a channel MLP of twice the width."""
    return 2 * dim + 4 * dim * dim + 3 * dim


def _layer_parameters(layer: Layer, sizes: Sizes) -> int:
    dim = sizes.dim
    skip = {"none": 0, "scaled": dim, "gated": 2 * dim * (dim // 4) + dim}[layer.skip]
    if not isinstance(layer.body, Parallel):
        return skip + _leaf_parameters(layer.body, sizes)
    return skip + _parallel_parameters(layer.body, sizes)


def _parallel_parameters(body: Parallel, sizes: Sizes) -> int:
    left, right = sizes.heads, sizes.heads
    if body.merge == "heads":
        left = max(1, sizes.heads // 2)
        right = max(1, sizes.heads - left)
    choice = (sizes.dim + 1) * sizes.heads if body.merge == "gated" else 0
    branches = ((body.left, left), (body.right, right))
    return choice + sum(_leaf_parameters(leaf, sizes._replace(heads=count)) for leaf, count in branches)


def _leaf_parameters(leaf: Leaf, sizes: Sizes) -> int:
    match leaf:
        case Attention():
            return _attention(leaf, sizes)
        case Memory():
            return _memory(leaf, sizes)
        case Convolution():
            return _convolution(leaf, sizes)
        case Recurrence():
            return _recurrence(leaf, sizes)
        case Cell():
            width = max(1, 9 * sizes.width // 16)
            gates = {"lstm": 4, "gru": 3, "tanh": 1}[leaf.cell] * width
            return gates * (sizes.dim + width + 2) + width * sizes.dim + (width if leaf.norm == "rms" else 0)
        case Matching():
            local = _local(leaf.local, sizes.dim, sizes.width, blends=2)
            own = sizes.dim**2 if leaf.own else 0
            return local + 3 * sizes.dim * sizes.width + own + 2 * sizes.heads
        case Positions():
            pairs = sizes.max_len * (sizes.max_len + 1) // 2 + sizes.max_len
            return leaf.depth * pairs + (3 * sizes.dim * sizes.width if leaf.gated else 0)
        case _:
            assert_never(leaf)


def _attention(leaf: Attention, sizes: Sizes) -> int:
    norms = sizes.head_dim if leaf.norm == "rms" else 0
    norms += {"none": 0, "rms": 2 * sizes.head_dim, "l2": sizes.heads}[leaf.qk_norm]
    talk = sizes.heads**2 if leaf.talking else 0
    blends = 3 + (leaf.gate is not None)
    return norms + talk + _qkv(leaf, sizes, sizes.head_dim, blends) + _gate_and_out(leaf.gate, sizes)


def _memory(leaf: Memory, sizes: Sizes) -> int:
    key_dim = _key_dim(leaf, sizes)
    data_decay = isinstance(leaf.decay, DataDecay)
    blends = 3 + (leaf.gate is not None) + data_decay + isinstance(leaf.rule, Delta | Removal)
    norms = {"none": 0, "rms": sizes.head_dim, "layer": 2 * sizes.width, "joint": sizes.width}[leaf.norm]
    norms += 2 * key_dim if leaf.qk_norm == "rms" else 0
    talk = sizes.heads**2 if leaf.talking else 0
    direct = {"none": 0, "scaled": sizes.heads, "matched": sizes.heads * key_dim}[leaf.direct]
    own = norms + talk + direct + _rule(leaf, sizes, key_dim) + _decay(leaf, sizes, key_dim)
    return own + _qkv(leaf, sizes, key_dim, blends) + _gate_and_out(leaf.gate, sizes)


def _key_dim(leaf: Memory, sizes: Sizes) -> int:
    half = leaf.key_width == "half"
    if leaf.projection == "single":
        return max(1, sizes.dim // (4 if half else 2))
    return max(1, sizes.head_dim // 2) if half else sizes.head_dim


def _rule(leaf: Memory, sizes: Sizes, key_dim: int) -> int:
    if isinstance(leaf.rule, Delta):
        return (sizes.dim + 1) * sizes.heads
    if isinstance(leaf.rule, Removal):
        rank, channels = max(1, sizes.dim // 8), sizes.heads * key_dim
        return rank * (sizes.dim + channels) + 3 * channels
    return 0


def _decay(leaf: Memory, sizes: Sizes, key_dim: int) -> int:
    if not isinstance(leaf.decay, DataDecay):
        return 0
    if leaf.decay.per == "head":
        rated = sizes.heads if leaf.decay.curve == "rated" else 0
        return (sizes.dim + 1) * sizes.heads + rated
    return _decay_projection(sizes.dim, key_dim * (1 if leaf.projection == "single" else sizes.heads), "low")


def _qkv(leaf: Attention | Memory, sizes: Sizes, key_dim: int, blends: int) -> int:
    queries, keys, values = sizes.heads, sizes.heads, sizes.heads
    if leaf.projection == "grouped":
        keys = values = sizes.heads // 2 if sizes.heads % 2 == 0 else 1
    elif leaf.projection == "single":
        queries = keys = 1
    channels = (queries + keys) * key_dim + values * sizes.head_dim
    dim = sizes.dim
    weights = (dim // 2) * (dim + channels) if leaf.projection == "low rank" else dim * channels
    return weights + _local(leaf.local, dim, channels, blends)


def _local(local: Local, dim: int, channels: int, blends: int) -> int:
    """Scalars of the local mixing; `blends` is how many projections read one of their own if it is separate."""
    if local is None:
        return 0
    if isinstance(local, Shift):
        return dim * (blends if local.separate else 1)
    return local.kernel * (dim if local.place == "input" else channels)


def _gate_and_out(gate: Gate | None, sizes: Sizes) -> int:
    dim, width = sizes.dim, sizes.width
    if gate is None:
        return width * dim
    rank = max(1, dim // 4)
    return width * dim + (dim * width if gate.rank == "full" else rank * (dim + width))


def _decay_projection(dim: int, channels: int, rank: str) -> int:
    low = max(1, dim // 4)
    weights = dim * channels if rank == "full" else low * (dim + channels)
    return weights + channels


def _convolution(leaf: Convolution, sizes: Sizes) -> int:
    if leaf.gates == "glu":
        return _filter(leaf.filter, sizes.dim) + 2 * sizes.dim**2 + (sizes.dim if leaf.norm == "rms" else 0)
    inputs = (2 if leaf.gates == "output" else 3) * sizes.dim * sizes.width
    filters = (2 if leaf.gates == "twice" else 1) * _filter(leaf.filter, sizes.width)
    return inputs + filters + sizes.width * sizes.dim + (sizes.width if leaf.norm == "rms" else 0)


def _filter(gene: Filter, channels: int) -> int:
    match gene:
        case ShortFilter():
            return gene.kernel * channels
        case LongFilter():
            return (gene.modes + 1) * channels
        case OscillatingFilter():
            return (4 * gene.pairs + 2) * channels
        case ImplicitFilter():
            hidden = max(1, channels // 4)
            return hidden * (2 * gene.bands + 2) + 2 * hidden * (hidden + 1) + (hidden + 1) * channels
        case _:
            assert_never(gene)


def _recurrence(leaf: Recurrence, sizes: Sizes) -> int:
    dim, width = sizes.dim, sizes.width
    blends = 2 + (leaf.gate is not None)
    value = dim * width + _local(leaf.local, dim, width, blends)
    norms = width if leaf.norm == "rms" else 0
    return value + norms + _decay_projection(dim, width, leaf.rank) + _gate_and_out(leaf.gate, sizes)
