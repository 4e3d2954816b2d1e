"""Gated running average sharing heads with local attention (64 tokens), scaled skip.

A running average per channel, at a rate that each token sets, keeps or drops features. Token shift shows
every projection the token before. Normalising the output keeps its scale however much was summed. Attention
over the last 64 tokens gives sharp local context at a bounded span. Normalised queries and keys keep the
scores in range at high learning rates. A low-rank projection leaves parameters to the channel mixing. Each
branch has half of the heads, so both fit into the size of one. A learned skip lets a layer do less where
mixing does not help.

    h_t = a_t h_{t-1} + (1 - a_t) v_t;  log a_t = -sigmoid(W x_t)
    y_t = sum_{t - 64 < s <= t} softmax_s(q_t . k_s) v_s
"""

import math

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


def window_mask(x: Tensor, window: int) -> Tensor:
    """May row t look at column s of x (B, H, T, D)? Only where t - window < s <= t: (T, T)."""
    return torch.ones(2 * x.shape[2:3], dtype=torch.bool, device=x.device).tril().triu(1 - window)


def running_average(x: Tensor, log_decay: Tensor, chunk: int = 64) -> Tensor:
    """h_t = a_t h_{t-1} + (1 - a_t) x_t per channel, (B, T, D); log_decay is log a_t, within [-1, 0]."""
    x = -torch.expm1(log_decay) * x
    state = torch.zeros_like(x[:, :1])
    read = []
    for xc, log_ac in zip(x.split(chunk, dim=1), log_decay.split(chunk, dim=1), strict=True):
        total = log_ac.cumsum(dim=1)  # at least -chunk: exp(-total) fits into float32
        h = total.exp() * (state + (xc * (-total).exp()).cumsum(dim=1))
        read.append(h)
        state = h[:, -1:]
    return torch.cat(read, dim=1)


class TokenShift(nn.Module):
    """Blend each channel with the same channel of the token before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blend = nn.Parameter(torch.linspace(0.0, 1.0, channels))

    def forward(self, x: Tensor) -> Tensor:
        before = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return x + self.blend * (before - x)


class GatedAverage(nn.Module):
    """Gated running average with token shift: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.value = nn.Linear(dim, heads * head_dim, bias=False)
        self.shift = TokenShift(dim)
        # Half-lives from 512 tokens down to 2 at the start of training.
        rate = math.log(2) / torch.logspace(math.log2(512), 1, heads * head_dim, base=2.0)
        self.decay = nn.Linear(dim, heads * head_dim)
        with torch.no_grad():
            self.decay.bias.copy_(rate.logit())
        self.norm = nn.RMSNorm(heads * head_dim, eps=1e-5)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.shift(x)
        value = self.value(mixed)
        log_decay = -self.decay(x).sigmoid()
        y = running_average(value, log_decay)
        y = self.norm(y)
        return self.out(y)


class LocalAttention(nn.Module):
    """Local attention (64 tokens) with token shift and rotary positions: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.sizes = [heads * head_dim, heads * head_dim, heads * head_dim]
        squeeze = nn.Linear(dim, dim // 2, bias=False)
        self.qkv = nn.Sequential(squeeze, nn.Linear(dim // 2, sum(self.sizes), bias=False))
        self.shift = TokenShift(dim)
        self.q_norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.k_norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.shift(x)
        parts = self.qkv(mixed).split(self.sizes, dim=-1)
        q, k, v = (by_head(part, self.heads) for part in parts)
        q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q), rotate(k)
        mask = window_mask(q, 64)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        y = self.norm(y)
        y = y.transpose(1, 2).flatten(2)
        return self.out(y)


class Mixer(nn.Module):
    """Gated running average with token shift sharing heads with local attention (64 tokens) with token shift
    and rotary positions, scaled skip.

    (B, T, dim) -> (B, T, dim).
    """

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        head_dim = dim // heads
        left = max(1, heads // 2)
        right = max(1, heads - left)
        self.left = GatedAverage(dim, left, head_dim)
        self.right = LocalAttention(dim, right, head_dim)
        self.skip = nn.Parameter(torch.full((dim,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x) + self.skip * x
