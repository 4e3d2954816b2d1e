"""Gated delta rule with short convolution; every second layer gated delta rule with short convolution.

The memory corrects what a key recalls instead of adding to it, so keys interfere less. Each token decides per
head how much of the past survives. A low-rank projection leaves parameters to the channel mixing. A short
convolution lets keys depend on their neighbours, which recall needs. The output gate drops what the current
token does not need. Normalising the output keeps its scale however much was summed. Alternating layers let
one kind of mixing prepare what the other reads.

    S_t = a_t S_{t-1} + b_t k_t (v_t - (a_t S_{t-1})^T k_t)^T;  y_t = S_t^T q_t
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def by_head(x: Tensor, heads: int) -> Tensor:
    """Split the channels: (B, T, H * D) -> (B, H, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def decay_mask(log_decay: Tensor) -> Tensor:
    """From log decays (B, H, T) to what is left at row t of column s, 0 for s > t: (B, H, T, T)."""
    total = log_decay.cumsum(-1)
    future = torch.ones(2 * total.shape[-1:], dtype=torch.bool, device=total.device).triu(1)
    return (total.unsqueeze(-1) - total.unsqueeze(-2)).masked_fill(future, -torch.inf).exp()


def gated_delta_recall(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_decay: Tensor, chunk: int = 32) -> Tensor:
    """S_t = a_t S_{t-1} + k_t u_t^T with u_t = beta_t (v_t - a_t S_{t-1}^T k_t), read by q_t.

    beta (B, H, T, 1); log_decay (B, H, T) is log a_t. All u of a chunk solve one triangular system.
    """
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    parts = (part.split(chunk, dim=2) for part in (q, k, v, beta, log_decay))
    for qc, kc, vc, bc, log_ac in zip(*parts, strict=True):
        since_start = log_ac.cumsum(-1).exp().unsqueeze(-1)
        mask = decay_mask(log_ac)
        overlap, error = bc * (kc @ kc.mT) * mask, bc * (vc - since_start * (kc @ state))
        u = torch.linalg.solve_triangular(overlap, error, upper=False, unitriangular=True)
        read.append(((qc @ kc.mT) * mask) @ u + since_start * (qc @ state))
        to_end = mask[..., -1, :].unsqueeze(-1)
        state = since_start[:, :, -1:] * state + (to_end * kc).mT @ u
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


class GatedDeltaRule(nn.Module):
    """Gated delta rule with short convolution: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        key_dim = max(1, head_dim // 2)
        self.heads = heads
        self.sizes = [heads * key_dim, heads * key_dim, heads * head_dim]
        squeeze = nn.Linear(dim, dim // 2, bias=False)
        self.qkv = nn.Sequential(squeeze, nn.Linear(dim // 2, sum(self.sizes), bias=False))
        self.local = ShortConvolution(sum(self.sizes), 4)
        # Half-lives from 128 tokens down to 2 at the start of training.
        rate = math.log(2) / torch.logspace(math.log2(128), 1, heads, base=2.0)
        self.decay = nn.Linear(dim, heads)
        with torch.no_grad():
            self.decay.bias.copy_(rate.expm1().log())
        self.beta = nn.Linear(dim, heads)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.local(self.qkv(x)).split(self.sizes, dim=-1)
        q, k, v = (by_head(part, self.heads) for part in parts)
        q, k = F.normalize(q, dim=-1, eps=1e-6), F.normalize(k, dim=-1, eps=1e-6)
        log_decay = -F.softplus(self.decay(x)).transpose(1, 2)
        beta = self.beta(x).sigmoid().transpose(1, 2).unsqueeze(-1)
        y = gated_delta_recall(q, k, v, beta, log_decay)
        y = y.transpose(1, 2).flatten(2)
        return self.out(y)


class SecondGatedDeltaRule(nn.Module):
    """Gated delta rule with short convolution, silu features and silu gate: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        key_dim = max(1, head_dim // 2)
        self.heads = heads
        self.sizes = [heads * key_dim, heads * key_dim, heads * head_dim]
        self.qkv = nn.Linear(dim, sum(self.sizes), bias=False)
        self.local = ShortConvolution(sum(self.sizes), 4)
        # Half-lives from 32 tokens down to 2 at the start of training.
        rate = math.log(2) / torch.logspace(math.log2(32), 1, heads, base=2.0)
        self.decay = nn.Linear(dim, heads)
        with torch.no_grad():
            self.decay.bias.copy_(rate.expm1().log())
        self.beta = nn.Linear(dim, heads)
        self.norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.gate = nn.Linear(dim, heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.local(self.qkv(x)).split(self.sizes, dim=-1)
        q, k, v = (by_head(part, self.heads) for part in parts)
        q, k = F.silu(q), F.silu(k)
        q, k = F.normalize(q, dim=-1, eps=1e-6), F.normalize(k, dim=-1, eps=1e-6)
        log_decay = -F.softplus(self.decay(x)).transpose(1, 2)
        beta = self.beta(x).sigmoid().transpose(1, 2).unsqueeze(-1)
        y = gated_delta_recall(q, k, v, beta, log_decay)
        y = self.norm(y)
        y = y.transpose(1, 2).flatten(2)
        y = y * F.silu(self.gate(x))
        return self.out(y)


class Mixer(nn.Module):
    """Gated delta rule with short convolution; every second layer gated delta rule with short convolution,
    silu features and silu gate.

    (B, T, dim) -> (B, T, dim).
    """

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        mixer = GatedDeltaRule if layer % 2 == 0 else SecondGatedDeltaRule
        self.mixer = mixer(dim, heads, dim // heads)

    def forward(self, x: Tensor) -> Tensor:
        return self.mixer(x)
