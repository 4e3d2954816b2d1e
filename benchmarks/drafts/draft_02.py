"""Delta rule with short convolution and silu features.

The memory corrects what a key recalls instead of adding to it, so keys interfere less. A short convolution
lets keys depend on their neighbours, which recall needs. Normalising the output keeps its scale however much
was summed.

    S_t = S_{t-1} + b_t k_t (v_t - (S_{t-1})^T k_t)^T;  y_t = S_t^T q_t
"""

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


class Mixer(nn.Module):
    """Delta rule with short convolution and silu features: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        head_dim = dim // heads
        self.heads = heads
        self.sizes = [heads * head_dim, heads * head_dim, heads * head_dim]
        self.qkv = nn.Linear(dim, sum(self.sizes), bias=False)
        self.local = ShortConvolution(sum(self.sizes), 3)
        self.beta = nn.Linear(dim, heads)
        self.norm = nn.RMSNorm(head_dim, eps=1e-5)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.local(self.qkv(x)).split(self.sizes, dim=-1)
        q, k, v = (by_head(part, self.heads) for part in parts)
        q, k = F.silu(q), F.silu(k)
        q, k = F.normalize(q, dim=-1, eps=1e-6), F.normalize(k, dim=-1, eps=1e-6)
        beta = self.beta(x).sigmoid().transpose(1, 2).unsqueeze(-1)
        y = delta_recall(q, k, v, beta)
        y = self.norm(y)
        y = y.transpose(1, 2).flatten(2)
        return self.out(y)
