"""From a leaf of the grammar to the lines of its class.

`part_of(leaf)` gives the body of a module that is built from `dim, heads, head_dim` and maps (B, T, dim) to
(B, T, dim). Nothing here decides how leaves are put together: see `emit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from netwright.agents.genotype import (
    Attention,
    Convolution,
    DataDecay,
    Delta,
    FixedDecay,
    Gate,
    Hebbian,
    Leaf,
    Local,
    LongFilter,
    Memory,
    Recurrence,
    Shift,
    ShortConvolution,
)
from netwright.agents.words import class_name, leaf_summary

FEATURE_CODE = {
    "elu+1": "F.elu({0}) + 1",
    "relu": "F.relu({0})",
    "squared relu": "F.relu({0}).square()",
    "softmax": "{0}.softmax(dim=-1)",
    "silu": "F.silu({0})",
}


@dataclass
class Part:
    """The text of one module class: lines of `__init__` and `forward`, and the helpers they use."""

    name: str
    summary: str
    init: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    result: str = "y"
    helpers: set[str] = field(default_factory=set)

    def use(self, helper: str) -> str:
        self.helpers.add(helper)
        return helper


def part_of(leaf: Leaf) -> Part:
    """Write the class that computes `leaf`; its last line is to return `result`."""
    part = Part(name=class_name(leaf), summary=leaf_summary(leaf))
    match leaf:
        case Attention():
            _attention(part, leaf)
        case Memory():
            _memory(part, leaf)
        case Convolution():
            _convolution(part, leaf)
        case Recurrence():
            _recurrence(part, leaf)
        case _:
            assert_never(leaf)
    return part


def _attention(part: Part, leaf: Attention) -> None:
    _query_key_value(part, leaf)
    _normalise_attention(part, leaf)
    if leaf.position == "rotary":
        part.use("rotate")
        part.forward.append("q, k = rotate(q), rotate(k)")
    if leaf.talking:
        _talking_attention(part, leaf)
    else:
        _fused_attention(part, leaf)
    _output(part, leaf.norm, leaf.gate)


def _normalise_attention(part: Part, leaf: Attention) -> None:
    if leaf.qk_norm == "rms":
        _rms_norm_keys(part, "head_dim")
    elif leaf.qk_norm == "l2":
        part.init.append("self.temperature = nn.Parameter(torch.full((heads, 1, 1), 8.0))")
        part.forward.append("q = self.temperature * F.normalize(q, dim=-1, eps=1e-6)")
        part.forward.append("k = F.normalize(k, dim=-1, eps=1e-6)")


def _mask_code(part: Part, leaf: Attention) -> tuple[str, str]:
    """Write an additive bias and a boolean mask as code, either of them ''."""
    bias = f"{part.use('distance_bias')}(q)" if leaf.position == "alibi" else ""
    if leaf.window is not None:
        return bias, f"{part.use('window_mask')}(q, {leaf.window})"
    return bias, "" if bias else f"{part.use('causal_mask')}(q)"


def _fused_attention(part: Part, leaf: Attention) -> None:
    scale = ", scale=1.0" if leaf.qk_norm == "l2" else ""
    if leaf.window is None and leaf.position != "alibi":
        part.forward.append(f"y = F.scaled_dot_product_attention(q, k, v, is_causal=True{scale})")
        return
    bias, mask = _mask_code(part, leaf)
    code = f"{bias}.masked_fill(~{mask}, -torch.inf)" if bias and mask else bias or mask
    part.forward.append(f"mask = {code}")
    part.forward.append(f"y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask{scale})")


def _talking_attention(part: Part, leaf: Attention) -> None:
    bias, mask = _mask_code(part, leaf)
    scores = "q @ k.mT" if leaf.qk_norm == "l2" else "(q @ k.mT) * q.shape[-1] ** -0.5"
    part.forward.append(f"scores = {scores}{f' + {bias}' if bias else ''}")
    if mask:
        part.forward.append(f"scores = scores.masked_fill(~{mask}, -torch.inf)")
    part.forward.append("weights = scores.softmax(dim=-1)")
    _talk(part, "weights")
    part.forward.append("y = weights @ v")


def _talk(part: Part, what: str) -> None:
    part.init.append("self.talk = nn.Parameter(torch.eye(heads))")
    part.forward.append(f'{what} = torch.einsum("gh,bhts->bgts", self.talk, {what})')


def _query_key_value(part: Part, leaf: Attention | Memory) -> None:
    """Write q, k (B, H, T, K) and v (B, H, T, V) from the input, through the local mixing."""
    half = isinstance(leaf, Memory) and leaf.key_width == "half"
    grouped = leaf.projection == "grouped"
    key_dim, groups = ("key_dim" if half else "head_dim"), ("groups" if grouped else "heads")
    if half:
        part.init.append("key_dim = max(1, head_dim // 2)")
    if grouped:
        part.init.append("groups = heads // 2 if heads % 2 == 0 else 1")
        part.init.append("self.groups = groups")
    part.init.append("self.heads = heads")
    part.init.append(f"self.sizes = [heads * {key_dim}, {groups} * {key_dim}, {groups} * head_dim]")
    part.init.extend(_qkv_projection(leaf.projection))
    source = _local(part, leaf.local, "self.qkv(x)", "sum(self.sizes)")
    part.use("by_head")
    if grouped:
        part.forward.append(f"q, k, v = {source}.split(self.sizes, dim=-1)")
        part.forward.append("share = self.heads // self.groups")
        part.forward.append("k, v = (by_head(part, self.groups).repeat_interleave(share, dim=1) for part in (k, v))")
        part.forward.append("q = by_head(q, self.heads)")
    else:
        part.forward.append(f"parts = {source}.split(self.sizes, dim=-1)")
        part.forward.append("q, k, v = (by_head(part, self.heads) for part in parts)")


def _qkv_projection(projection: str) -> list[str]:
    if projection != "low rank":
        return ["self.qkv = nn.Linear(dim, sum(self.sizes), bias=False)"]
    return [
        "squeeze = nn.Linear(dim, dim // 2, bias=False)",
        "self.qkv = nn.Sequential(squeeze, nn.Linear(dim // 2, sum(self.sizes), bias=False))",
    ]


def _local(part: Part, local: Local, projected: str, channels: str) -> str:
    """Add the local mixing; returns the code of the projected, mixed input (`projected` reads `x`)."""
    match local:
        case None:
            return projected
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


def _rms_norm_keys(part: Part, size: str) -> None:
    part.init.append(f"self.q_norm = nn.RMSNorm({size}, eps=1e-5)")
    part.init.append(f"self.k_norm = nn.RMSNorm({size}, eps=1e-5)")
    part.forward.append("q, k = self.q_norm(q), self.k_norm(k)")


def _memory(part: Part, leaf: Memory) -> None:
    _query_key_value(part, leaf)
    _features(part, leaf)
    if leaf.decay is not None:
        _decay(part, leaf, leaf.decay)
    if isinstance(leaf.rule, Delta):
        _delta(part, leaf, leaf.rule)
    else:
        _hebbian(part, leaf, leaf.rule)
    _output(part, leaf.norm, leaf.gate)


def _features(part: Part, leaf: Memory) -> None:
    if leaf.rule.feature != "identity":
        code = FEATURE_CODE[leaf.rule.feature]
        part.forward.append(f"q, k = {code.format('q')}, {code.format('k')}")
    if leaf.qk_norm == "l2":
        part.forward.append("q, k = F.normalize(q, dim=-1, eps=1e-6), F.normalize(k, dim=-1, eps=1e-6)")
    elif leaf.qk_norm == "rms":
        _rms_norm_keys(part, "key_dim" if leaf.key_width == "half" else "head_dim")
    if leaf.position == "rotary":
        part.use("rotate")
        part.forward.append("q, k = rotate(q), rotate(k)")


def _decay(part: Part, leaf: Memory, decay: FixedDecay | DataDecay) -> None:
    """Write `log_decay`; the fixed decay under head mixing is a mask and needs no lines here."""
    if isinstance(decay, FixedDecay):
        if not leaf.talking:
            part.forward.append(f"log_decay = {part.use('fixed_log_decay')}(q, longest={decay.horizon})")
        return
    keys = "heads * key_dim" if leaf.key_width == "half" else "heads * head_dim"
    if decay.per == "head":
        part.init.extend(_rate_lines(decay.horizon, "heads"))
        part.init.append("self.decay = nn.Linear(dim, heads)")
        part.init.extend(["with torch.no_grad():", "    self.decay.bias.copy_(rate.expm1().log())"])
        part.forward.append("log_decay = -F.softplus(self.decay(x)).transpose(1, 2)")
    else:
        _channel_decay(part, decay.horizon, keys, "low")
        part.forward.append("log_decay = by_head(-self.decay(x).sigmoid(), self.heads)")
    if decay.coupled:
        unsqueeze = ".unsqueeze(-1)" if decay.per == "head" else ""
        part.forward.append(f"k = -torch.expm1(log_decay){unsqueeze} * k")


def _rate_lines(horizon: int, count: str) -> list[str]:
    return [
        f"# Half-lives from {horizon} tokens down to 2 at the start of training.",
        f"rate = math.log(2) / torch.logspace(math.log2({horizon}), 1, {count}, base=2.0)",
    ]


def _channel_decay(part: Part, horizon: int, channels: str, rank: str) -> None:
    part.init.extend(_rate_lines(horizon, channels))
    if rank == "low":
        part.init.append("rank = max(1, dim // 4)")
        part.init.append("squeeze_decay = nn.Linear(dim, rank, bias=False)")
        part.init.append(f"self.decay = nn.Sequential(squeeze_decay, nn.Linear(rank, {channels}))")
        bias = "self.decay[1].bias"
    else:
        part.init.append(f"self.decay = nn.Linear(dim, {channels})")
        bias = "self.decay.bias"
    part.init.extend(["with torch.no_grad():", f"    {bias}.copy_(rate.logit())"])


def _delta(part: Part, leaf: Memory, rule: Delta) -> None:
    part.init.append("self.beta = nn.Linear(dim, heads)")
    strength = "" if rule.strength == 1 else f"{rule.strength} * "
    part.forward.append(f"beta = {strength}self.beta(x).sigmoid().transpose(1, 2).unsqueeze(-1)")
    if leaf.decay is None:
        part.forward.append(f"y = {part.use('delta_recall')}(q, k, v, beta)")
    elif isinstance(leaf.decay, DataDecay) and leaf.decay.per == "channel":
        part.forward.append(f"y = {part.use('channel_delta_recall')}(q, k, v, beta, log_decay)")
    else:
        part.forward.append(f"y = {part.use('gated_delta_recall')}(q, k, v, beta, log_decay)")


def _hebbian(part: Part, leaf: Memory, rule: Hebbian) -> None:
    if rule.normaliser:
        part.forward.append("v = F.pad(v, (0, 1), value=1.0)  # the last channel counts what was written")
    if leaf.talking:
        part.forward.append(f"scores = {_scores_code(part, leaf)}")
        _talk(part, "scores")
        part.forward.append("y = scores @ v")
    elif leaf.decay is None:
        part.forward.append(f"y = {part.use('linear_recall')}(q, k, v)")
    else:
        channel = isinstance(leaf.decay, DataDecay) and leaf.decay.per == "channel"
        helper = "channel_decayed_recall" if channel else "decayed_recall"
        part.forward.append(f"y = {part.use(helper)}(q, k, v, log_decay)")
    if rule.normaliser:
        part.forward.append("y = y[..., :-1] / (y[..., -1:] + 0.01)")


def _scores_code(part: Part, leaf: Memory) -> str:
    match leaf.decay:
        case None:
            return "(q @ k.mT).tril()"
        case FixedDecay(horizon=horizon):
            return f"(q @ k.mT) * {part.use('fixed_decay')}(q, longest={horizon})"
        case DataDecay():
            return f"(q @ k.mT) * {part.use('decay_mask')}(log_decay)"


def _output(part: Part, norm: str, gate: Gate | None) -> None:
    """Lead y (B, H, T, D) to the result: norm per head, gate, and the way back to `dim`."""
    if norm == "rms":
        part.init.append("self.norm = nn.RMSNorm(head_dim, eps=1e-5)")
        part.forward.append("y = self.norm(y)")
    part.forward.append("y = y.transpose(1, 2).flatten(2)")
    _gate_and_out(part, gate)


def _gate_and_out(part: Part, gate: Gate | None) -> None:
    if gate is not None and gate.rank == "low":
        part.init.append("squeeze_gate = nn.Linear(dim, max(1, dim // 4), bias=False)")
        wide = "nn.Linear(max(1, dim // 4), heads * head_dim, bias=False)"
        part.init.append(f"self.gate = nn.Sequential(squeeze_gate, {wide})")
    elif gate is not None:
        part.init.append("self.gate = nn.Linear(dim, heads * head_dim, bias=False)")
    if gate is not None:
        function = "F.silu(self.gate(x))" if gate.activation == "silu" else "self.gate(x).sigmoid()"
        part.forward.append(f"y = y * {function}")
    part.init.append("self.out = nn.Linear(heads * head_dim, dim, bias=False)")
    part.result = "self.out(y)"


def _convolution(part: Part, leaf: Convolution) -> None:
    parts = 3 if leaf.gates == "both" else 2
    part.init.append(f"self.inputs = nn.Linear(dim, {parts} * heads * head_dim, bias=False)")
    if isinstance(leaf.filter, LongFilter):
        part.init.append(f"self.filter = {part.use('LongFilter')}(heads * head_dim, {leaf.filter.modes})")
    else:
        part.init.append(f"self.filter = {part.use('ShortFilter')}(heads * head_dim, {leaf.filter.kernel})")
    if leaf.gates == "both":
        part.forward.append("value, gate_in, gate_out = self.inputs(x).chunk(3, dim=-1)")
        part.forward.append("y = self.filter(gate_in * value)")
    else:
        part.forward.append("value, gate_out = self.inputs(x).chunk(2, dim=-1)")
        part.forward.append("y = self.filter(value)")
    _channel_norm(part, leaf.norm)
    part.init.append("self.out = nn.Linear(heads * head_dim, dim, bias=False)")
    part.result = "self.out(gate_out * y)"


def _channel_norm(part: Part, norm: str) -> None:
    if norm == "rms":
        part.init.append("self.norm = nn.RMSNorm(heads * head_dim, eps=1e-5)")
        part.forward.append("y = self.norm(y)")


def _recurrence(part: Part, leaf: Recurrence) -> None:
    part.init.append("self.value = nn.Linear(dim, heads * head_dim, bias=False)")
    value = _local(part, leaf.local, "self.value(x)", "heads * head_dim")
    part.forward.append(f"value = {value}")
    _channel_decay(part, leaf.horizon, "heads * head_dim", leaf.rank)
    part.forward.append("log_decay = -self.decay(x).sigmoid()")
    part.forward.append(f"y = {part.use('running_average')}(value, log_decay)")
    _channel_norm(part, leaf.norm)
    _gate_and_out(part, leaf.gate)
