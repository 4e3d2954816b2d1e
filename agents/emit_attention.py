"""Lines of the leaves that look back at single tokens: softmax attention, and matching of n-grams."""

from __future__ import annotations

from netwright.agents.emit_parts import Part, local_mixing, output, query_key_value, rms_norm_keys
from netwright.agents.leaves import Attention, Matching


def attention(part: Part, leaf: Attention) -> None:
    query_key_value(part, leaf)
    _normalise(part, leaf)
    if leaf.position == "rotary":
        part.use("rotate")
        part.forward.append("q, k = rotate(q), rotate(k)")
    if leaf.talking:
        _talking(part, leaf)
    else:
        _fused(part, leaf)
    output(part, leaf.norm, leaf.gate)


def _normalise(part: Part, leaf: Attention) -> None:
    if leaf.qk_norm == "rms":
        rms_norm_keys(part, "head_dim")
    elif leaf.qk_norm == "l2":
        part.use("unit")
        part.init.append("self.temperature = nn.Parameter(torch.full((heads, 1, 1), 8.0))")
        part.forward.append("q, k = self.temperature * unit(q), unit(k)")


def _mask_code(part: Part, leaf: Attention) -> tuple[str, str]:
    """Write an additive bias and a boolean mask as code, either of them ''."""
    bias = f"{part.use('distance_bias')}(q)" if leaf.position == "alibi" else ""
    if leaf.window is not None:
        return bias, f"{part.use('window_mask')}(q, {leaf.window})"
    return bias, "" if bias else f"{part.use('causal_mask')}(q)"


def _fused(part: Part, leaf: Attention) -> None:
    scale = ", scale=1.0" if leaf.qk_norm == "l2" else ""
    if leaf.window is None and leaf.position != "alibi":
        part.forward.append(f"y = F.scaled_dot_product_attention(q, k, v, is_causal=True{scale})")
        return
    if leaf.window is not None and leaf.position != "alibi":
        factor = "1.0" if leaf.qk_norm == "l2" else "q.shape[-1] ** -0.5"
        part.forward.append(f"y = {part.use('local_attention')}(q, k, v, {leaf.window}, {factor})")
        return
    bias, mask = _mask_code(part, leaf)
    code = f"{bias}.masked_fill(~{mask}, -torch.inf)" if bias and mask else bias or mask
    part.forward.append(f"mask = {code}")
    part.forward.append(f"y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask{scale})")


def _talking(part: Part, leaf: Attention) -> None:
    bias, mask = _mask_code(part, leaf)
    scores = "q @ k.mT" if leaf.qk_norm == "l2" else "(q @ k.mT) * q.shape[-1] ** -0.5"
    part.forward.append(f"scores = {scores}{f' + {bias}' if bias else ''}")
    if mask:
        part.forward.append(f"scores = scores.masked_fill(~{mask}, -torch.inf)")
    part.forward.append("weights = scores.softmax(dim=-1)")
    talk(part, "weights")
    part.forward.append("y = weights @ v")


def talk(part: Part, what: str) -> None:
    part.init.append("self.talk = nn.Parameter(torch.eye(heads))")
    part.forward.append(f'{what} = torch.einsum("gh,bhts->bgts", self.talk, {what})')


def matching(part: Part, leaf: Matching) -> None:
    part.use("by_head")
    part.use("unit")
    part.init.extend(
        [
            "self.heads = heads",
            f"self.longest = {leaf.longest}",
            "self.key = nn.Linear(dim, heads * head_dim, bias=False)",
            "self.value = nn.Linear(dim, heads * head_dim, bias=False)",
            "self.log_sharpness = nn.Parameter(torch.full((heads,), math.log(8.0)))",
            "self.unlikeness = nn.Parameter(torch.full((heads,), 0.5))",
            "self.out = nn.Linear(heads * head_dim, dim, bias=False)",
        ]
    )
    key, value = "self.key(x)", "self.value(x)"
    key = local_mixing(part, leaf.local, key, "heads * head_dim")
    if "mixed" in key:
        value = "self.value(mixed)"
    elif part.blends is not None:
        value = f"self.value({part.read('value')})"
    part.forward.append(f"k, v = by_head({key}, self.heads), by_head({value}, self.heads)")
    part.forward.append(
        f"y = {part.use('continue_matches')}(unit(k), v, self.log_sharpness.exp(), self.unlikeness, self.longest)"
    )
    part.forward.append("y = y.transpose(1, 2).flatten(2)")
    part.result = "self.out(y)"
    if leaf.own:
        part.init.append("self.own = nn.Linear(dim, dim, bias=False)")
        part.result = "self.own(x) + self.out(y)"
