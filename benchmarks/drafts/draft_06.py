"""Delta rule with short convolution sharing heads with gated long convolution.

The memory corrects what a key recalls instead of adding to it, so keys interfere less. Keys and values shared
by pairs of heads leave parameters to the channel mixing. A short convolution lets keys depend on their
neighbours, which recall needs. Filters over the whole past between multiplicative gates detect local patterns
at little cost. Each branch has half of the heads, so both fit into the size of one.

    S_t = S_{t-1} + b_t k_t (v_t - (S_{t-1})^T k_t)^T;  y_t = S_t^T q_t
    y_t = g_out * (filter * (g_in * v))_t
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def by_head(x: Tensor, heads: int) -> Tensor:
    """Split the channels: (B, T, H * D) -> (B, H, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def delta_recall(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, chunk: int = 32) -> Tensor:
    """S_t = S_{t-1} + k_t u_t^T with u_t = beta_t (v_t - S_{t-1}^T k_t), read by q_t; beta (B, H, T, 1).

    All u of a chunk solve one triangular system; the solver reads only what lies below the diagonal.
    """
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    for qc, kc, vc, bc in zip(*(part.split(chunk, dim=2) for part in (q, k, v, beta)), strict=True):
        overlap, error = bc * (kc @ kc.mT), bc * (vc - kc @ state)
        u = torch.linalg.solve_triangular(overlap, error, upper=False, unitriangular=True)
        read.append((qc @ kc.mT).tril() @ u + qc @ state)
        state = state + kc.mT @ u
    return torch.cat(read, dim=2)


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


class DeltaRule(nn.Module):
    """Delta rule with short convolution: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        groups = heads // 2 if heads % 2 == 0 else 1
        self.groups = groups
        self.heads = heads
        self.sizes = [heads * head_dim, groups * head_dim, groups * head_dim]
        self.qkv = nn.Linear(dim, sum(self.sizes), bias=False)
        self.local = ShortConvolution(dim, 4)
        self.beta = nn.Linear(dim, heads)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.local(x)
        q, k, v = self.qkv(mixed).split(self.sizes, dim=-1)
        share = self.heads // self.groups
        k, v = (by_head(part, self.groups).repeat_interleave(share, dim=1) for part in (k, v))
        q = by_head(q, self.heads)
        q, k = F.normalize(q, dim=-1, eps=1e-6), F.normalize(k, dim=-1, eps=1e-6)
        beta = self.beta(x).sigmoid().transpose(1, 2).unsqueeze(-1)
        y = delta_recall(q, k, v, beta)
        y = y.transpose(1, 2).flatten(2)
        return self.out(y)


class LongConvolution(nn.Module):
    """Gated long convolution: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.filter = LongFilter(heads * head_dim, 4)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        value, gate_in, gate_out = self.inputs(x).chunk(3, dim=-1)
        y = self.filter(gate_in * value)
        return self.out(gate_out * y)


class Mixer(nn.Module):
    """Delta rule with short convolution sharing heads with gated long convolution.

    (B, T, dim) -> (B, T, dim).
    """

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        head_dim = dim // heads
        left = max(1, heads // 2)
        right = max(1, heads - left)
        self.left = DeltaRule(dim, left, head_dim)
        self.right = LongConvolution(dim, right, head_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x)
