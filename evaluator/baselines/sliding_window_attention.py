"""Sliding-window attention with grouped keys.

Softmax attention over the last 32 positions, two query heads to each head of keys and values.

    q_h, k_g, v_g = rotate(norm(W_q x)), rotate(norm(W_k x)), W_v x;   g = the group of head h
    o_{t,h} = sum_{t-32 < s <= t} softmax_s(q_{t,h} . k_{s,g} / sqrt(d)) v_{s,g};   y = W_o o

The state is a queue of 32 keys and values of half the width, whatever the length: it helps where what matters is
near, as in text, at a cost that is linear in the length, and must fail at recall of what stands further back than
its layers reach together. Computed in blocks of 32 queries, each of which sees its own and the previous block.
Queries and keys are RMS-normalised per head, as in the baseline with full attention.

Source: windows: Beltagy et al. 2020, "Longformer" (arXiv:2004.05150), section 3.1; grouped queries: Ainslie et al.
2023, "GQA" (arXiv:2305.13245), section 2.2; rotary positions: Su et al. 2021 (arXiv:2104.09864); query-key
normalisation: Henry et al. 2020 (arXiv:2010.04245).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 32


class Mixer(nn.Module):
    cos: Tensor
    sin: Tensor
    near: Tensor

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.head_dim = head_dim = dim // heads
        self.groups = heads // 2 if heads % 2 == 0 else 1
        self.query = nn.Linear(dim, dim, bias=False)
        self.key_value = nn.Linear(dim, 2 * self.groups * head_dim, bias=False)
        self.norm = nn.RMSNorm(head_dim, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)
        angles = torch.outer(torch.arange(max_len), 10_000.0 ** (-torch.arange(0, head_dim, 2) / head_dim))
        distance = WINDOW + torch.arange(WINDOW)[:, None] - torch.arange(2 * WINDOW)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.register_buffer("near", (distance >= 0) & (distance < WINDOW), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q = self.query(x).view(batch, length, self.groups, -1, self.head_dim).permute(0, 2, 3, 1, 4)
        k, v = self.key_value(x).view(batch, length, 2, self.groups, -1).permute(2, 0, 3, 1, 4)
        mixed = self.attend(self.rotate(self.norm(q)), self.rotate(self.norm(k)), v)
        y: Tensor = self.out(mixed.permute(0, 3, 1, 2, 4).reshape(batch, length, dim))
        return y

    def rotate(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend inside the window: q (B, G, H/G, T, d), k and v (B, G, T, d) -> like q."""
        length = q.shape[-2]
        q, k, v = in_blocks(q), with_previous(in_blocks(k))[:, :, None], with_previous(in_blocks(v))[:, :, None]
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        weights = scores.masked_fill(~self.visible(q.shape[-3]), -torch.inf).softmax(dim=-1)
        mixed: Tensor = (weights @ v).flatten(-3, -2)[..., :length, :]
        return mixed

    def visible(self, blocks: int) -> Tensor:
        """Say which of the 64 keys beside each block lie in the window, (N, 32, 64); the first has none before it."""
        visible = self.near.repeat(blocks, 1, 1)
        visible[0, :, :WINDOW] = False
        return visible


def in_blocks(x: Tensor) -> Tensor:
    """Cut (..., T, d) into (..., N, 32, d), the last block filled up with zeros."""
    padded = F.pad(x, (0, 0, 0, -x.shape[-2] % WINDOW))
    return padded.reshape(*x.shape[:-2], -1, WINDOW, x.shape[-1])


def with_previous(x: Tensor) -> Tensor:
    """Put each block of (..., N, 32, d) behind its predecessor, (..., N, 64, d); zeros before the first."""
    before = F.pad(x, (0, 0, 0, 0, 1, 0))[..., :-1, :, :]
    return torch.cat([before, x], dim=-2)
