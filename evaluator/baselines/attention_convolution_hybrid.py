"""Gated convolution and softmax attention, hybrid.

Gated short convolutions, with softmax attention in every second layer.

    even layers:  y = W_o (W_c x * conv_8(W_b x * W_v x))
    odd layers:   y = W_o softmax(causal(q k^T / sqrt(d))) v,  q and k rotated by their position

The convolutions read local patterns cheaply; the attention layers then look up exactly, on features that already
know their neighbours. It helps on text, and keeps recall with half of the attention (all of it, if one attention
layer is enough).

Source: the mixing ratio and the finding that few attention layers suffice: Lieber et al. 2024, "Jamba"
(arXiv:2403.19887); gated convolutions: Poli et al. 2023 (arXiv:2302.10866); rotary positions: Su et al. 2021
(arXiv:2104.09864).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 8


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        attends = layer % 2 == 1
        self.mix = Attention(dim, heads, max_len) if attends else GatedConvolution(dim)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(x)
        return y


class GatedConvolution(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.filter = nn.Parameter(KERNEL**-0.5 * torch.randn(KERNEL, dim))
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        before, after, values = self.project(x).chunk(3, dim=-1)
        length = x.shape[1]
        padded = F.pad(before * values, (0, 0, KERNEL - 1, 0))
        filtered = padded[:, :length] * self.filter[0]
        for tap in range(1, KERNEL):
            filtered = filtered + padded[:, tap : tap + length] * self.filter[tap]
        y: Tensor = self.out(after * filtered)
        return y


class Attention(nn.Module):
    cos: Tensor
    sin: Tensor

    def __init__(self, dim: int, heads: int, max_len: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.norm = nn.RMSNorm(dim // heads, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)
        frequencies = 10_000.0 ** (-torch.arange(0, dim // heads, 2) / (dim // heads))
        angles = torch.outer(torch.arange(max_len), frequencies)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = self.project(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.rotate(self.norm(q)), self.rotate(self.norm(k))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return y

    def rotate(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)
