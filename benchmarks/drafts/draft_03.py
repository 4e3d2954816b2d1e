"""Softmax attention with short convolution and rotary positions.

Softmax attention looks up any earlier token exactly. Normalised queries and keys keep the scores in range at
high learning rates. A short convolution lets keys depend on their neighbours, which recall needs.

    y_t = sum_{s <= t} softmax_s(q_t . k_s) v_s
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def by_head(x: Tensor, heads: int) -> Tensor:
    """Split the channels: (B, T, H * D) -> (B, H, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def rotate(x: Tensor) -> Tensor:
    """Rotary positions: turn pairs of channels of (B, H, T, D) by an angle that grows with the position."""
    half = x.shape[-1] // 2
    frequency = 10000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angle = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


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


class Mixer(nn.Module):
    """Softmax attention with short convolution and rotary positions: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        head_dim = dim // heads
        self.heads = heads
        self.sizes = [heads * head_dim, heads * head_dim, heads * head_dim]
        self.qkv = nn.Linear(dim, sum(self.sizes), bias=False)
        self.local = ShortConvolution(sum(self.sizes), 4)
        self.q_norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.k_norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.local(self.qkv(x)).split(self.sizes, dim=-1)
        q, k, v = (by_head(part, self.heads) for part in parts)
        q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q), rotate(k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y.transpose(1, 2).flatten(2)
        return self.out(y)
