"""Lines of fast-weight memories: features, decays, update rules, and what becomes of the reading."""

from __future__ import annotations

from netwright.agents.emit_attention import talk
from netwright.agents.emit_parts import (
    NORM_EPSILON,
    SIGMOID_DECAY,
    SIGMOID_START,
    Part,
    channel_decay,
    channel_norm,
    gate_output,
    key_width,
    query_key_value,
    rate_lines,
    rms_norm_keys,
    start_bias,
    way_out,
)
from netwright.agents.genes import DataDecay, Delta, FixedDecay, Hebbian
from netwright.agents.leaves import Memory

FEATURE_CODE = {
    "elu+1": "F.elu({0}) + 1",
    "relu": "F.relu({0})",
    "squared relu": "F.relu({0}).square()",
    "softmax": "{0}.softmax(dim=-1)",
    "silu": "F.silu({0})",
}


def memory(part: Part, leaf: Memory) -> None:
    query_key_value(part, leaf)
    _features(part, leaf)
    if leaf.decay is not None:
        _decay(part, leaf, leaf.decay)
    match leaf.rule:
        case Delta() as rule:
            _delta(part, leaf, rule)
        case Hebbian() as rule:
            _hebbian(part, leaf, rule)
        case _:
            _removal(part, leaf)
    _output(part, leaf)


def _features(part: Part, leaf: Memory) -> None:
    feature = "identity" if leaf.rule.kind == "removal" else leaf.rule.feature
    if feature in FEATURE_CODE:
        code = FEATURE_CODE[feature]
        part.forward.append(f"q, k = {code.format('q')}, {code.format('k')}")
    if leaf.values == "silu":
        part.forward.append("v = F.silu(v)")
    if leaf.qk_norm == "l2":
        part.use("unit")
        part.forward.append("q, k = unit(q), unit(k)")
    elif leaf.qk_norm == "rms":
        rms_norm_keys(part, key_width(leaf))
    if leaf.position == "rotary":
        part.use("rotate")
        part.forward.append("q, k = rotate(q), rotate(k)")


def _key_channels(leaf: Memory) -> str:
    return "key_dim" if leaf.projection == "single" else f"heads * {key_width(leaf)}"


def _decay(part: Part, leaf: Memory, decay: FixedDecay | DataDecay) -> None:
    """Write `log_decay`; a fixed decay over scores of all pairs is a mask and needs no lines here."""
    if isinstance(decay, FixedDecay):
        if not _over_pairs(leaf):
            part.forward.append(f"log_decay = {_fixed_code(part, 'fixed_log_decay', decay)}")
    elif decay.per == "head":
        _head_decay(part, decay)
    else:
        bias = channel_decay(part, decay.horizon, _key_channels(leaf), "low", decay.squeeze)
        heads = "1" if leaf.projection == "single" else "self.heads"
        source = part.read("decay")
        if decay.curve == "sigmoid":
            start_bias(part, bias, SIGMOID_START)
            part.forward.append(f"log_decay = by_head({SIGMOID_DECAY.format(source)}, {heads})")
        else:
            start_bias(part, bias, "(16 * rate).expm1().log()")
            part.forward.append(f"log_decay = (-F.softplus(self.decay({source})) / 16).clamp(min=-4.0)")
            part.forward.append(f"log_decay = by_head(log_decay, {heads})")
        if decay.coupled:
            part.forward.append("k = -torch.expm1(log_decay) * k")


def _fixed_code(part: Part, helper: str, decay: FixedDecay) -> str:
    return f"{part.use(helper)}(v, longest={decay.horizon}, shortest={decay.shortest})"


def _head_decay(part: Part, decay: DataDecay) -> None:
    part.init.extend(rate_lines(decay.horizon, "heads"))
    part.init.append("self.decay = nn.Linear(dim, heads)")
    source = part.read("decay")
    if decay.curve == "softplus":
        start_bias(part, "self.decay.bias", "rate.expm1().log()")
        part.forward.append(f"log_decay = -F.softplus(self.decay({source})).transpose(1, 2)")
        return
    part.init.append("speed = torch.linspace(1, 16, heads)")
    part.init.append("self.log_speed = nn.Parameter(speed.log())")
    start_bias(part, "self.decay.bias", "(rate / speed).expm1().log()")
    part.forward.append(f"step = F.softplus(self.decay({source})).transpose(1, 2)")
    part.forward.append("log_decay = -self.log_speed.exp()[:, None] * step")


def _recall(part: Part, leaf: Memory, helpers: tuple[str, str, str], arguments: str) -> None:
    """Write the call of the helper for no decay, one per head, or one per channel."""
    none, per_head, per_channel = helpers
    match leaf.decay:
        case None:
            code = f"{part.use(none)}({arguments})"
        case DataDecay(per="channel", curve=curve):
            # What a chunk divides by must fit into float32: exp(4 * 16) does.
            chunk = ", chunk=16" if curve == "softplus" else ""
            code = f"{part.use(per_channel)}({arguments}, log_decay{chunk})"
        case _:
            code = f"{part.use(per_head)}({arguments}, log_decay)"
    part.forward.append(f"y = {code}")


def _delta(part: Part, leaf: Memory, rule: Delta) -> None:
    part.init.append("self.beta = nn.Linear(dim, heads)")
    strength = "" if rule.strength == 1 else f"{rule.strength} * "
    beta = f"self.beta({part.read('beta')}).sigmoid().transpose(1, 2).unsqueeze(-1)"
    part.forward.append(f"beta = {strength}{beta}")
    helpers = ("delta_recall", "gated_delta_recall", "channel_delta_recall")
    _recall(part, leaf, helpers, "q, k, v, beta")


def _removal(part: Part, leaf: Memory) -> None:
    channels, width = _key_channels(leaf), key_width(leaf)
    part.use("unit")
    part.init.append("squeeze_rate = nn.Linear(dim, max(1, dim // 8), bias=False)")
    part.init.append(f"self.rate = nn.Sequential(squeeze_rate, nn.Linear(max(1, dim // 8), {channels}))")
    part.init.append(f"self.remove = nn.Parameter(torch.full((heads, 1, {width}), 0.85))")
    part.init.append(f"self.replace = nn.Parameter(torch.ones(heads, 1, {width}))")
    part.forward.append(f"rate = by_head(self.rate({part.read('rate')}).sigmoid(), self.heads)")
    part.forward.append("removed = unit(self.remove * k)")
    part.forward.append("k = k * (1 + self.replace * (rate - 1))")
    decay = "torch.zeros_like(k)"
    if isinstance(leaf.decay, FixedDecay):
        decay = "log_decay.unsqueeze(-1).expand_as(k)"
    elif leaf.decay is not None:
        decay = "log_decay"
    bounded = isinstance(leaf.decay, DataDecay) and leaf.decay.curve == "sigmoid"
    chunk = "" if bounded or leaf.decay is None else ", chunk=16"
    part.forward.append(f"y = {part.use('removal_recall')}(q, k, v, removed, rate, {decay}{chunk})")


def _hebbian(part: Part, leaf: Memory, rule: Hebbian) -> None:
    written = "v"
    pairs = _over_pairs(leaf)
    coupled = isinstance(leaf.decay, DataDecay) and leaf.decay.per == "head" and leaf.decay.coupled
    if rule.normaliser:
        part.forward.append("written = F.pad(v, (0, 1), value=1.0)  # the last channel counts what was written")
        written = "written"
    if coupled and isinstance(leaf.decay, DataDecay):
        amount = "step" if leaf.decay.curve == "rated" else "-torch.expm1(log_decay)"
        part.forward.append(f"written = {amount}.unsqueeze(-1) * {written}")
        written = "written"
    if pairs:
        part.forward.extend(_scores(part, leaf, rule))
        if leaf.talking:
            talk(part, "scores")
        part.forward.append(f"y = scores @ {written}")
    else:
        helpers = ("linear_recall", "decayed_recall", "channel_decayed_recall")
        _recall(part, leaf, helpers, f"q, k, {written}")
    if rule.normaliser:
        # Features that can be 0 everywhere leave nothing to divide by.
        margin = {"elu+1": " + 1e-6", "softmax": " + 1e-6", "taylor": ""}.get(rule.feature, " + 0.01")
        part.forward.append(f"y = y[..., :-1] / {f'(y[..., -1:]{margin})' if margin else 'y[..., -1:]'}")


def _over_pairs(leaf: Memory) -> bool:
    """Must the scores of all pairs of tokens be formed?"""
    return leaf.talking or (isinstance(leaf.rule, Hebbian) and leaf.rule.feature == "taylor")


def _scores(part: Part, leaf: Memory, rule: Hebbian) -> list[str]:
    lines = ["scores = q @ k.mT"]
    if rule.feature == "taylor":
        lines = ["scores = (q * q.shape[-1] ** -0.5) @ k.mT", "scores = 1 + scores + 0.5 * scores.square()"]
    match leaf.decay:
        case None:
            lines.append("scores = scores.tril()")
        case FixedDecay() as decay:
            lines.append(f"scores = scores * {_fixed_code(part, 'fixed_decay', decay)}")
        case DataDecay():
            lines.append(f"scores = scores * {part.use('decay_mask')}(log_decay)")
    return lines


def _output(part: Part, leaf: Memory) -> None:
    """Lead y (B, H, T, D) to the result: norm, the token's own value, gate, and the way back to `dim`."""
    if leaf.norm == "rms":
        part.init.append(f"self.norm = nn.RMSNorm(head_dim, eps={NORM_EPSILON})")
        part.forward.append("y = self.norm(y)")
    elif leaf.norm == "layer":
        part.init.append("self.scale = nn.Parameter(torch.ones(heads, 1, head_dim))")
        part.init.append("self.offset = nn.Parameter(torch.zeros(heads, 1, head_dim))")
        part.forward.append("y = self.scale * F.layer_norm(y, y.shape[-1:], eps=1e-5) + self.offset")
    if leaf.direct == "scaled":
        part.init.append("self.direct = nn.Parameter(torch.ones(heads, 1, 1))")
        part.forward.append("y = y + self.direct * v")
    elif leaf.direct == "matched":
        part.init.append(f"self.direct = nn.Parameter(torch.full((heads, 1, {key_width(leaf)}), 0.1))")
        part.forward.append("y = y + (self.direct * q * k).sum(dim=-1, keepdim=True) * v")
    part.forward.append("y = y.transpose(1, 2).flatten(2)")
    gate_output(part, leaf.gate)
    if leaf.norm == "joint":
        channel_norm(part, "joint")
    way_out(part)
