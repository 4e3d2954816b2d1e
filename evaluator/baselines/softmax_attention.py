"""Softmax attention with rotary positions.

    q, k = rotate(W_q x), rotate(W_k x);   o_t = sum_{s <= t} softmax_s(q_t . k_s / sqrt(d)) v_s;   y = W_o o

Queries and keys are RMS-normalised per head before the rotation, which keeps short trainings stable at high
learning rates. Exact recall over the whole context at a cost that grows with its square: it helps wherever a
token must find one particular earlier token, and it is the yardstick for everything cheaper.

Source: Vaswani et al. 2017 (arXiv:1706.03762); rotary positions: Su et al. 2021 (arXiv:2104.09864); query-key
normalisation: Henry et al. 2020 (arXiv:2010.04245).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Rotary(nn.Module):
    """Turns pairs of channels by an angle that grows with the position, (B, H, T, d) -> (B, H, T, d)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, max_len: int) -> None:
        super().__init__()
        frequencies = 10_000.0 ** (-torch.arange(0, head_dim, 2) / head_dim)
        angles = torch.outer(torch.arange(max_len), frequencies)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.norm = nn.RMSNorm(dim // heads, eps=1e-6)
        self.rotary = Rotary(dim // heads, max_len)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = self.project(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.rotary(self.norm(q)), self.rotary(self.norm(k))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return y
