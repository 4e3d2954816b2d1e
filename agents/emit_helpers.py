"""Source texts of the functions and modules that emitted candidates may need; each file gets only its own.

Functions take (B, H, T, D) and are causal. Rotary positions: Su et al. 2021 (arXiv:2104.09864); distance bias: Press
et al. 2021 (arXiv:2108.12409); matching n-grams: Akyurek et al. 2024 (arXiv:2401.12973).
"""

from __future__ import annotations

from netwright.agents.emit_filters import (
    CAUSAL_CONVOLUTION,
    IMPLICIT_FILTER,
    LONG_FILTER,
    OSCILLATING_FILTER,
    RUNNING_AVERAGE,
    SHORT_FILTER,
)
from netwright.agents.emit_recalls import (
    BEFORE_EACH,
    CHANNEL_DECAY_RECALL,
    CHANNEL_DELTA_RECALL,
    DECAY_MASK,
    DELTA_RECALL,
    FIXED_DECAY,
    FIXED_LOG_DECAY,
    GATED_DELTA_RECALL,
    HEAD_DECAY_RECALL,
    IN_CHUNKS,
    LINEAR_RECALL,
    REMOVAL_RECALL,
)

BY_HEAD = '''
def by_head(x: Tensor, heads: int) -> Tensor:
    """Split the channels: (B, T, H * D) -> (B, H, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)
'''

UNIT = '''
def unit(x: Tensor) -> Tensor:
    """Scale the last axis to length 1."""
    return x * (x.square().sum(dim=-1, keepdim=True) + 1e-12).rsqrt()
'''

ROTATE = '''
def rotate(x: Tensor) -> Tensor:
    """Rotary positions: turn pairs of channels of (B, H, T, D) by an angle that grows with the position."""
    half = x.shape[-1] // 2
    frequency = 10000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angle = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
'''

CAUSAL_MASK = '''
def causal_mask(x: Tensor) -> Tensor:
    """May row t look at column s of x (B, H, T, D)? Only where s <= t: (T, T)."""
    return torch.ones(2 * x.shape[2:3], dtype=torch.bool, device=x.device).tril()
'''

WINDOW_MASK = '''
def window_mask(x: Tensor, window: int) -> Tensor:
    """May row t look at column s of x (B, H, T, D)? Only where t - window < s <= t: (T, T)."""
    return torch.ones(2 * x.shape[2:3], dtype=torch.bool, device=x.device).tril().triu(1 - window)
'''

DISTANCE_BIAS = '''
def distance_bias(x: Tensor) -> Tensor:
    """Minus the distance from row t back to column s times a slope per head, -inf for s > t: (H, T, T)."""
    position = torch.arange(x.shape[2], device=x.device)
    distance = (position[:, None] - position).to(x)
    slope = 2.0 ** -torch.linspace(1, 8, x.shape[1], device=x.device, dtype=x.dtype)
    return (-slope[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)
'''

LOCAL_ATTENTION = '''
def local_attention(q: Tensor, k: Tensor, v: Tensor, window: int, scale: float) -> Tensor:
    """Softmax attention over the last `window` tokens, (B, H, T, D).

    In blocks of `window` queries, each of which sees its own block and the one before.
    """
    length = q.shape[2]
    q, k, v = (F.pad(part, (0, 0, 0, -length % window)).unflatten(2, (-1, window)) for part in (q, k, v))
    k, v = (torch.cat([F.pad(part, (0, 0, 0, 0, 1, -1)), part], dim=3) for part in (k, v))
    place = torch.arange(2 * window, device=q.device)
    distance = window + place[:window, None] - place
    visible = ((distance >= 0) & (distance < window)).repeat(q.shape[2], 1, 1)
    visible[0, :, :window] = False
    scores = ((scale * q) @ k.mT).masked_fill(~visible, -torch.inf)
    return (scores.softmax(dim=-1) @ v).flatten(2, 3)[:, :, :length]
'''

CONTINUE_MATCHES = '''
def continue_matches(k: Tensor, v: Tensor, sharpness: Tensor, unlikeness: Tensor, longest: int) -> Tensor:
    """Mean of v over what followed earlier places that ended in the same n keys as here; zeros without any.

    k and v (B, H, T, D), k of unit length; sharpness and unlikeness (H,). n counts from 1 to `longest` over
    the heads. All n keys are compared at once, as one long key; position 0, which nothing precedes, stands
    for "no match": it wins where the n-grams are unlike by more than `unlikeness` in all.
    """
    heads, length = k.shape[1:3]
    order = 1 + torch.arange(heads, device=k.device) % longest
    counts = (torch.arange(longest, device=k.device) < order[:, None]).to(k)
    past = F.pad(k, (0, 0, longest - 1, 0))
    lagged = [past[:, :, longest - 1 - lag :][:, :, :length] for lag in range(longest)]
    grams = torch.cat([counts[:, lag, None, None] * part for lag, part in enumerate(lagged)], dim=-1)
    before = F.pad(grams, (0, 0, 1, -1))
    logits = (sharpness[:, None, None] * grams) @ before.mT
    no_match = sharpness * (order - unlikeness)
    logits = logits + F.pad(no_match[:, None, None], (0, length - 1))
    place = torch.arange(length, device=k.device)
    hidden = (place > place[:, None]) | ((place > 0) & (place < order[:, None, None]))
    weights = logits.masked_fill(hidden, -torch.inf).softmax(dim=-1)
    return weights @ F.pad(v[:, :, 1:], (0, 0, 1, 0))
'''

TOKEN_SHIFT = '''
class TokenShift(nn.Module):
    """Blend each channel with the same channel of the token before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blend = nn.Parameter(torch.linspace(0.0, 1.0, channels))

    def forward(self, x: Tensor) -> Tensor:
        before = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return x + self.blend * (before - x)
'''

TOKEN_SHIFTS = '''
class TokenShifts(nn.Module):
    """Several blends of each token with the one before, channel by channel: one for each that reads them."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.blend = nn.Parameter(torch.linspace(1.0, 0.0, dim).repeat(count, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        change = F.pad(x, (0, 0, 1, -1)) - x
        return [x + blend * change for blend in self.blend]
'''

SHORT_CONVOLUTION = '''
class ShortConvolution(nn.Module):
    """Causal depthwise convolution over the last `kernel` tokens, then SiLU: (B, T, C) -> (B, T, C)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        taps = 0.3 * torch.randn(kernel, channels)
        taps[-1] += 1  # begin close to the identity
        self.taps = nn.Parameter(taps)

    def forward(self, x: Tensor) -> Tensor:
        past = F.pad(x, (0, 0, len(self.taps) - 1, 0))
        return F.silu(sum(tap * past[:, i : i + x.shape[1]] for i, tap in enumerate(self.taps)))
'''

CAUSAL_MIX = '''
class CausalMix(nn.Module):
    """A linear map along the time axis, a weight for each pair of positions: (B, T, C) -> (B, T, C).

    Only the weights of earlier positions are stored, row by row, and shorter rows use the first of them.
    """

    def __init__(self, max_len: int) -> None:
        super().__init__()
        row = torch.tril_indices(max_len, max_len)[0]
        self.weight = nn.Parameter(torch.randn(len(row)) * (row + 1) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(max_len, 1))

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        row, column = torch.tril_indices(length, length, device=x.device)
        square = x.new_zeros(length, length).index_put((row, column), self.weight[: len(row)])
        return square @ x + self.bias[:length]
'''

# In the order in which they are written to a file: what is used comes first.
HELPERS: dict[str, str] = {
    "by_head": BY_HEAD,
    "unit": UNIT,
    "rotate": ROTATE,
    "causal_mask": CAUSAL_MASK,
    "window_mask": WINDOW_MASK,
    "distance_bias": DISTANCE_BIAS,
    "local_attention": LOCAL_ATTENTION,
    "continue_matches": CONTINUE_MATCHES,
    "fixed_decay": FIXED_DECAY,
    "fixed_log_decay": FIXED_LOG_DECAY,
    "decay_mask": DECAY_MASK,
    "in_chunks": IN_CHUNKS,
    "before_each": BEFORE_EACH,
    "linear_recall": LINEAR_RECALL,
    "decayed_recall": HEAD_DECAY_RECALL,
    "channel_decayed_recall": CHANNEL_DECAY_RECALL,
    "delta_recall": DELTA_RECALL,
    "gated_delta_recall": GATED_DELTA_RECALL,
    "channel_delta_recall": CHANNEL_DELTA_RECALL,
    "removal_recall": REMOVAL_RECALL,
    "running_average": RUNNING_AVERAGE,
    "causal_convolution": CAUSAL_CONVOLUTION,
    "TokenShift": TOKEN_SHIFT,
    "TokenShifts": TOKEN_SHIFTS,
    "ShortConvolution": SHORT_CONVOLUTION,
    "ShortFilter": SHORT_FILTER,
    "LongFilter": LONG_FILTER,
    "OscillatingFilter": OSCILLATING_FILTER,
    "ImplicitFilter": IMPLICIT_FILTER,
    "CausalMix": CAUSAL_MIX,
}

_NEEDS = {
    "decayed_recall": {"decay_mask", "in_chunks", "before_each"},
    "channel_decayed_recall": {"in_chunks", "before_each"},
    "gated_delta_recall": {"decay_mask"},
    "ImplicitFilter": {"causal_convolution"},
}


def with_dependencies(names: set[str]) -> list[str]:
    """List the helpers in `names` and all that they call, in the order of the file."""
    wanted = names.union(*(_NEEDS.get(name, ()) for name in names))
    return [name for name in HELPERS if name in wanted]
