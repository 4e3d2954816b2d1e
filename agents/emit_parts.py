"""The text of one module class, and what most leaves have in common: projections, local mixing, gate and output.

Leaves are built from `dim, heads, head_dim` (and `max_len` where they need it) and map (B, T, dim) to (B, T, dim).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netwright.agents.genes import Gate, Local, Shift, ShortConvolution
from netwright.agents.leaves import Attention, Leaf, Memory
from netwright.agents.words import class_name, leaf_summary

NORM_EPSILON = "1e-6"


@dataclass
class Part:
    """Lines of `__init__` and `forward`, and the helpers they use; the last line is to return `result`.

    `blends` are the projections that read a blend of their own of each token with the one before, None where all
    read the same.
    """

    name: str
    summary: str
    init: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    result: str = "y"
    helpers: set[str] = field(default_factory=set)
    blends: list[str] | None = None

    @classmethod
    def of(cls, leaf: Leaf) -> Part:
        part = cls(name=class_name(leaf), summary=leaf_summary(leaf))
        local = getattr(leaf, "local", None)
        if isinstance(local, Shift) and local.separate:
            part.blends = []
        return part

    def use(self, helper: str) -> str:
        self.helpers.add(helper)
        return helper

    def read(self, projection: str) -> str:
        """Name the variable that a projection of the input reads."""
        if self.blends is None:
            return "x"
        self.blends.append(f"for_{projection}")
        return self.blends[-1]

    def finish(self) -> Part:
        """Add the lines that could not be written before all projections were known."""
        if self.blends is not None:
            self.use("TokenShifts")
            self.init.insert(0, f"self.shifts = TokenShifts(dim, {len(self.blends)})")
            self.forward.insert(0, f"{', '.join(self.blends)} = self.shifts(x)")
        return self

    @property
    def arguments(self) -> tuple[str, ...]:
        """Arguments of the constructor of a leaf or branch."""
        longest = any("max_len" in line for line in self.init)
        return ("dim", "heads", "head_dim", "max_len") if longest else ("dim", "heads", "head_dim")


def query_key_value(part: Part, leaf: Attention | Memory) -> None:
    """Write q, k (B, H, T, K) and v (B, H, T, V) from the input, through the local mixing."""
    key_dim, groups = _key_sizes(part, leaf)
    part.init.append("self.heads = heads")
    queries = "heads" if leaf.projection != "single" else "1"
    sizes = [f"{queries} * {key_dim}", f"{groups} * {key_dim}", "heads * head_dim"]
    if leaf.projection == "grouped":
        sizes[2] = "groups * head_dim"
    sizes = [size.removeprefix("1 * ") for size in sizes]
    part.use("by_head")
    if part.blends is not None:
        for name, size in zip(("query", "key", "value"), sizes, strict=True):
            part.init.append(f"self.{name} = nn.Linear(dim, {size}, bias=False)")
        q, k, v = (f"self.{name}({part.read(name[0])})" for name in ("query", "key", "value"))
        part.forward.append(f"q, k, v = {q}, {k}, {v}")
        _split_heads(part, leaf, "q, k, v")
        return
    part.init.append(f"self.sizes = [{', '.join(sizes)}]")
    part.init.extend(_qkv_projection(leaf.projection))
    source = local_mixing(part, leaf.local, "self.qkv(x)", "sum(self.sizes)")
    if leaf.projection in ("full", "low rank"):
        part.forward.append(f"parts = {source}.split(self.sizes, dim=-1)")
        _split_heads(part, leaf, "parts")
    else:
        part.forward.append(f"q, k, v = {source}.split(self.sizes, dim=-1)")
        _split_heads(part, leaf, "q, k, v")


def _key_sizes(part: Part, leaf: Attention | Memory) -> tuple[str, str]:
    """Write what the sizes of queries and keys are made of; returns the code of the key's width and of the groups."""
    half = isinstance(leaf, Memory) and leaf.key_width == "half"
    if leaf.projection == "single":
        part.init.append(f"key_dim = max(1, dim // {4 if half else 2})  # one query and one key for all heads")
        return "key_dim", "1"
    if half:
        part.init.append("key_dim = max(1, head_dim // 2)")
    if leaf.projection == "grouped":
        part.init.append("groups = heads // 2 if heads % 2 == 0 else 1")
        part.init.append("self.groups = groups")
    return ("key_dim" if half else "head_dim"), ("groups" if leaf.projection == "grouped" else "heads")


def _split_heads(part: Part, leaf: Attention | Memory, names: str) -> None:
    match leaf.projection:
        case "grouped":
            part.forward.append("share = self.heads // self.groups")
            shared = "(by_head(part, self.groups).repeat_interleave(share, dim=1) for part in (k, v))"
            part.forward.append(f"k, v = {shared}")
            part.forward.append("q = by_head(q, self.heads)")
        case "single":
            part.forward.append("q, k, v = by_head(q, 1), by_head(k, 1), by_head(v, self.heads)")
        case _:
            parts = names if names == "parts" else f"({names})"
            part.forward.append(f"q, k, v = (by_head(part, self.heads) for part in {parts})")


def _qkv_projection(projection: str) -> list[str]:
    if projection != "low rank":
        return ["self.qkv = nn.Linear(dim, sum(self.sizes), bias=False)"]
    return [
        "squeeze = nn.Linear(dim, dim // 2, bias=False)",
        "self.qkv = nn.Sequential(squeeze, nn.Linear(dim // 2, sum(self.sizes), bias=False))",
    ]


def key_width(leaf: Attention | Memory) -> str:
    """Code of the channels of one query or key, as the constructor names them."""
    special = isinstance(leaf, Memory) and (leaf.key_width == "half" or leaf.projection == "single")
    return "key_dim" if special else "head_dim"


def local_mixing(part: Part, local: Local, projected: str, channels: str) -> str:
    """Add the local mixing; returns the code of the projected, mixed input (`projected` reads `x`)."""
    match local:
        case None:
            return projected
        case Shift(separate=True):
            name = projected.removeprefix("self.").removesuffix("(x)")
            return projected.replace("(x)", f"({part.read(name)})")
        case Shift():
            part.init.append(f"self.shift = {part.use('TokenShift')}(dim)")
            part.forward.append("mixed = self.shift(x)")
        case ShortConvolution(place="input"):
            part.init.append(f"self.local = {part.use('ShortConvolution')}(dim, {local.kernel})")
            part.forward.append("mixed = self.local(x)")
        case ShortConvolution():
            part.init.append(f"self.local = {part.use('ShortConvolution')}({channels}, {local.kernel})")
            return f"self.local({projected})"
    return projected.replace("(x)", "(mixed)")


def rms_norm_keys(part: Part, size: str) -> None:
    part.init.append(f"self.q_norm = nn.RMSNorm({size}, eps={NORM_EPSILON})")
    part.init.append(f"self.k_norm = nn.RMSNorm({size}, eps={NORM_EPSILON})")
    part.forward.append("q, k = self.q_norm(q), self.k_norm(k)")


def output(part: Part, norm: str, gate: Gate | None) -> None:
    """Lead y (B, H, T, D) to the result: norm per head, gate, and the way back to `dim`."""
    if norm == "rms":
        part.init.append(f"self.norm = nn.RMSNorm(head_dim, eps={NORM_EPSILON})")
        part.forward.append("y = self.norm(y)")
    part.forward.append("y = y.transpose(1, 2).flatten(2)")
    gate_output(part, gate)
    way_out(part)


def gate_output(part: Part, gate: Gate | None) -> None:
    if gate is None:
        return
    if gate.rank == "low":
        part.init.append("squeeze_gate = nn.Linear(dim, max(1, dim // 4), bias=False)")
        part.init.append("spread_gate = nn.Linear(max(1, dim // 4), heads * head_dim, bias=False)")
        middle = "nn.Sigmoid(), " if gate.activation == "inner sigmoid" else ""
        part.init.append(f"self.gate = nn.Sequential(squeeze_gate, {middle}spread_gate)")
    else:
        part.init.append("self.gate = nn.Linear(dim, heads * head_dim, bias=False)")
    value = f"self.gate({part.read('gate')})"
    code = {"silu": f"F.silu({value})", "sigmoid": f"{value}.sigmoid()", "inner sigmoid": value}
    part.forward.append(f"y = y * {code[gate.activation]}")


def channel_norm(part: Part, norm: str) -> None:
    if norm in ("rms", "joint"):
        part.init.append(f"self.norm = nn.RMSNorm(heads * head_dim, eps={NORM_EPSILON})")
        part.forward.append("y = self.norm(y)")


def way_out(part: Part) -> None:
    part.init.append("self.out = nn.Linear(heads * head_dim, dim, bias=False)")
    part.result = "self.out(y)"


def rate_lines(horizon: int, count: str) -> list[str]:
    return [
        f"# Half-lives from {horizon} tokens down to 2 at the start of training.",
        f"rate = math.log(2) / torch.logspace(math.log2({horizon}), 1, {count}, base=2.0)",
    ]


def channel_decay(part: Part, horizon: int, channels: str, rank: str, squeeze: str = "linear") -> str:
    """Write the projection `self.decay` to a rate for each channel; returns the code of its bias."""
    part.init.extend(rate_lines(horizon, channels))
    if rank != "low":
        part.init.append(f"self.decay = nn.Linear(dim, {channels})")
        return "self.decay.bias"
    part.init.append("rank = max(1, dim // 4)")
    part.init.append("squeeze_decay = nn.Linear(dim, rank, bias=False)")
    middle = "nn.Tanh(), " if squeeze == "tanh" else ""
    part.init.append(f"self.decay = nn.Sequential(squeeze_decay, {middle}nn.Linear(rank, {channels}))")
    return "self.decay[-1].bias"


def start_bias(part: Part, bias: str, value: str) -> None:
    part.init.extend(["with torch.no_grad():", f"    {bias}.copy_({value})"])


# The fastest rate of a decay per channel, exp(-1/2), keeps what a chunk divides by far from the limits of float32.
SIGMOID_DECAY = "-math.exp(-0.5) * self.decay({0}).sigmoid()"
SIGMOID_START = "(math.exp(0.5) * rate).logit()"
