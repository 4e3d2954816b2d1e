"""Channel-gated linear attention with token shift, rotary positions and sigmoid gate.

A matrix per head sums outer products of values and keys: a state of fixed size to read from. Each token
decides per channel how much of the past survives. Token shift shows every projection the token before. The
output gate drops what the current token does not need. Normalising the output keeps its scale however much
was summed.

    S_t = diag(a_t) S_{t-1} + k_t v_t^T;  y_t = S_t^T q_t
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


def channel_decayed_recall(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, chunk: int = 64) -> Tensor:
    """S_t = diag(a_t) S_{t-1} + k_t v_t^T, read by q_t; log_decay (B, H, T, D) is log a_t, within [-1, 0]."""
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    for qc, kc, vc, log_ac in zip(*(part.split(chunk, dim=2) for part in (q, k, v, log_decay)), strict=True):
        total = log_ac.cumsum(dim=2)  # at least -chunk: exp(-total) fits into float32
        qc, kc = qc * total.exp(), kc * (-total).exp()
        read.append((qc @ kc.mT).tril() @ vc + qc @ state)
        state = total[:, :, -1:].exp().mT * (state + kc.mT @ vc)
    return torch.cat(read, dim=2)


class TokenShift(nn.Module):
    """Blend each channel with the same channel of the token before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blend = nn.Parameter(torch.linspace(0.0, 1.0, channels))

    def forward(self, x: Tensor) -> Tensor:
        before = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return x + self.blend * (before - x)


class Mixer(nn.Module):
    """Channel-gated linear attention with token shift, rotary positions and sigmoid gate.

    (B, T, dim) -> (B, T, dim).
    """

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        head_dim = dim // heads
        self.heads = heads
        self.sizes = [heads * head_dim, heads * head_dim, heads * head_dim]
        self.qkv = nn.Linear(dim, sum(self.sizes), bias=False)
        self.shift = TokenShift(dim)
        self.q_norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.k_norm = nn.RMSNorm(head_dim, eps=1e-5)
        # Half-lives from 32 tokens down to 2 at the start of training.
        rate = math.log(2) / torch.logspace(math.log2(32), 1, heads * head_dim, base=2.0)
        rank = max(1, dim // 4)
        squeeze_decay = nn.Linear(dim, rank, bias=False)
        self.decay = nn.Sequential(squeeze_decay, nn.Linear(rank, heads * head_dim))
        with torch.no_grad():
            self.decay[1].bias.copy_(rate.logit())
        self.norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.gate = nn.Linear(dim, heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.shift(x)
        parts = self.qkv(mixed).split(self.sizes, dim=-1)
        q, k, v = (by_head(part, self.heads) for part in parts)
        q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q), rotate(k)
        log_decay = by_head(-self.decay(x).sigmoid(), self.heads)
        y = channel_decayed_recall(q, k, v, log_decay)
        y = self.norm(y)
        y = y.transpose(1, 2).flatten(2)
        y = y * self.gate(x).sigmoid()
        return self.out(y)
