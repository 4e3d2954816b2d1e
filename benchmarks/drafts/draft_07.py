"""Local attention (64 tokens) with token shift and distance bias.

Attention over the last 64 tokens gives sharp local context at a bounded span. A penalty that grows with
distance favours recent tokens, at another scale in each head. Token shift shows every projection the token
before.

    y_t = sum_{t - 64 < s <= t} softmax_s(q_t . k_s) v_s
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def by_head(x: Tensor, heads: int) -> Tensor:
    """Split the channels: (B, T, H * D) -> (B, H, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def window_mask(x: Tensor, window: int) -> Tensor:
    """May row t look at column s of x (B, H, T, D)? Only where t - window < s <= t: (T, T)."""
    return torch.ones(2 * x.shape[2:3], dtype=torch.bool, device=x.device).tril().triu(1 - window)


def distance_bias(x: Tensor) -> Tensor:
    """Minus the distance from row t back to column s times a slope per head, -inf for s > t: (H, T, T)."""
    position = torch.arange(x.shape[2], device=x.device)
    distance = (position[:, None] - position).to(x)
    slope = 2.0 ** -torch.linspace(1, 8, x.shape[1], device=x.device, dtype=x.dtype)
    return (-slope[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)


class TokenShift(nn.Module):
    """Blend each channel with the same channel of the token before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blend = nn.Parameter(torch.linspace(0.0, 1.0, channels))

    def forward(self, x: Tensor) -> Tensor:
        before = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return x + self.blend * (before - x)


class Mixer(nn.Module):
    """Local attention (64 tokens) with token shift and distance bias: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        head_dim = dim // heads
        self.heads = heads
        self.sizes = [heads * head_dim, heads * head_dim, heads * head_dim]
        self.qkv = nn.Linear(dim, sum(self.sizes), bias=False)
        self.shift = TokenShift(dim)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.shift(x)
        parts = self.qkv(mixed).split(self.sizes, dim=-1)
        q, k, v = (by_head(part, self.heads) for part in parts)
        mask = distance_bias(q).masked_fill(~window_mask(q, 64), -torch.inf)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        y = y.transpose(1, 2).flatten(2)
        return self.out(y)
