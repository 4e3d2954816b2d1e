"""Gated short convolution.

A causal filter of 8 taps per channel between two multiplicative gates.

    u = W_b x * W_v x;   c_t = sum_{i < 8} w_i * u_{t-i};   y = W_o (W_c x * c)

No memory beyond 7 tokens back per layer, and nothing that looks anything up: it helps with local patterns, such as
spelling and syntax, at the lowest cost of all, and must fail at recall.

Source: the gate-filter-gate form of H3 (Fu et al. 2022, arXiv:2212.14052) and Hyena (Poli et al. 2023,
arXiv:2302.10866) with a short explicit filter.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 8


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.filter = nn.Parameter(KERNEL**-0.5 * torch.randn(KERNEL, dim))
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        before, after, values = self.project(x).chunk(3, dim=-1)
        y: Tensor = self.out(after * self.convolve(before * values))
        return y

    def convolve(self, u: Tensor) -> Tensor:
        """Filter (B, T, D) by a sum of shifted copies: on CPU faster than a depthwise convolution."""
        length = u.shape[1]
        padded = F.pad(u, (0, 0, KERNEL - 1, 0))
        filtered = padded[:, :length] * self.filter[0]
        for tap in range(1, KERNEL):
            filtered = filtered + padded[:, tap : tap + length] * self.filter[tap]
        return filtered
