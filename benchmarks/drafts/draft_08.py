"""Head-gated linear attention with rotary positions blended with gated long convolution.

A matrix per head sums outer products of values and keys: a state of fixed size to read from. Each token
decides per head how much of the past survives. A low-rank projection leaves parameters to the channel mixing.
Normalising the output keeps its scale however much was summed. Filters over the whole past between
multiplicative gates detect local patterns at little cost. A gate chooses per token which of the two branches
to trust.

    S_t = a_t S_{t-1} + k_t v_t^T;  y_t = S_t^T q_t
    y_t = g_out * (filter * (g_in * v))_t
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


def decay_mask(log_decay: Tensor) -> Tensor:
    """From log decays (B, H, T) to what is left at row t of column s, 0 for s > t: (B, H, T, T)."""
    total = log_decay.cumsum(-1)
    future = torch.ones(2 * total.shape[-1:], dtype=torch.bool, device=total.device).triu(1)
    return (total.unsqueeze(-1) - total.unsqueeze(-2)).masked_fill(future, -torch.inf).exp()


def decayed_recall(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, chunk: int = 64) -> Tensor:
    """S_t = a_t S_{t-1} + k_t v_t^T, read by q_t; log_decay (B, H, T) is log a_t."""
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    for qc, kc, vc, log_ac in zip(*(part.split(chunk, dim=2) for part in (q, k, v, log_decay)), strict=True):
        since_start = log_ac.cumsum(-1).exp().unsqueeze(-1)
        mask = decay_mask(log_ac)
        read.append(((qc @ kc.mT) * mask) @ vc + since_start * (qc @ state))
        to_end = mask[..., -1, :].unsqueeze(-1)
        state = since_start[:, :, -1:] * state + (to_end * kc).mT @ vc
    return torch.cat(read, dim=2)


class LongFilter(nn.Module):
    """Causal filter over the whole past, (B, T, C) -> (B, T, C): per channel a sum of decaying exponentials.

    Half-lives run from 1 to 2^(modes - 1) tokens. A Toeplitz matrix inside a chunk, a state per mode between.
    """

    def __init__(self, channels: int, modes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, modes) / modes)
        self.here = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, chunk: int = 64) -> Tensor:
        mode = torch.arange(self.weight.shape[1], device=x.device)
        rate = (math.log(2) / 2.0**mode).to(x)
        step = torch.arange(min(chunk, x.shape[1]), device=x.device)
        left = (-rate[:, None] * (step + 1)).exp()
        distance = step[:, None] - step
        inside = (-rate[:, None, None] * distance.clamp(min=0)).exp().tril()
        toeplitz = torch.einsum("cm,mts->cts", self.weight * rate, inside)
        state = x.new_zeros(x.shape[0], len(mode), x.shape[2])
        read = []
        for part in x.split(chunk, dim=1):
            size = part.shape[1]
            near = (toeplitz[:, :size, :size] @ part.permute(2, 1, 0)).permute(2, 1, 0)
            far = torch.einsum("mt,cm,bmc->btc", left[:, :size], self.weight * rate, state)
            read.append(near + far)
            state = left[:, size - 1, None] * state + inside[:, size - 1, :size] @ part
        return torch.cat(read, dim=1) + self.here * x


class GatedLinearAttention(nn.Module):
    """Head-gated linear attention with rotary positions: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.sizes = [heads * head_dim, heads * head_dim, heads * head_dim]
        squeeze = nn.Linear(dim, dim // 2, bias=False)
        self.qkv = nn.Sequential(squeeze, nn.Linear(dim // 2, sum(self.sizes), bias=False))
        # Half-lives from 32 tokens down to 2 at the start of training.
        rate = math.log(2) / torch.logspace(math.log2(32), 1, heads, base=2.0)
        self.decay = nn.Linear(dim, heads)
        with torch.no_grad():
            self.decay.bias.copy_(rate.expm1().log())
        self.norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).split(self.sizes, dim=-1)
        q, k, v = (by_head(part, self.heads) for part in parts)
        q, k = rotate(q), rotate(k)
        log_decay = -F.softplus(self.decay(x)).transpose(1, 2)
        y = decayed_recall(q, k, v, log_decay)
        y = self.norm(y)
        y = y.transpose(1, 2).flatten(2)
        return self.out(y)


class LongConvolution(nn.Module):
    """Gated long convolution: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.filter = LongFilter(heads * head_dim, 8)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        value, gate_in, gate_out = self.inputs(x).chunk(3, dim=-1)
        y = self.filter(gate_in * value)
        return self.out(gate_out * y)


class Mixer(nn.Module):
    """Head-gated linear attention with rotary positions blended with gated long convolution.

    (B, T, dim) -> (B, T, dim).
    """

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        head_dim = dim // heads
        self.left = GatedLinearAttention(dim, heads, head_dim)
        self.right = LongConvolution(dim, heads, head_dim)
        self.choice = nn.Linear(dim, heads)
        self.head_dim = head_dim

    def forward(self, x: Tensor) -> Tensor:
        trust = self.choice(x).sigmoid().repeat_interleave(self.head_dim, dim=-1)
        return trust * self.left(x) + (1 - trust) * self.right(x)
