"""Taylor linear attention and sliding windows (Based).

Linear attention that expands the softmax to second order, with exact attention over 32 positions in every second
layer.

    even layers:  phi(x) = (1, x, vec(x x^T) / sqrt(2)),  so that  phi(q) . phi(k) = 1 + q . k + (q . k)^2 / 2
                  S_t = S_{t-1} + phi(k_t) v_t^T;   z_t = z_{t-1} + phi(k_t);   o_t = phi(q_t)^T S_t / (phi(q_t) . z_t)
    odd layers:   o_t = sum_{t-32 < s <= t} softmax_s(q_t . k_s / sqrt(d)) v_s,  q and k normalised and rotated

with q and k of only 16 channels per head in the even layers, scaled by 16^(-1/4), and y = W_o o in both. The square
makes the state of 273 features per head sharper than first-order linear attention, so it holds more pairs; the
windows supply the exact local shifts that it cannot make. It helps with recall at a state of fixed size, and with text.

Computed without forming phi: the even layers in their parallel form, which is exact and at a few hundred tokens
cheaper than the state; the odd ones in blocks of 32 queries that see their own and the previous block. The weights
1 + s + s^2 / 2 are at least 1/2, so the division is safe.

Left out or changed: the paper's gated convolutions, which make up most of its layers, since the backbone has a short
convolution before every mixer; windows of 32 for 64, on rows that are shorter by far; query-key normalisation and
rotation in the windows, as in the other baselines with attention.

Source: Arora et al. 2024, "Simple linear attention language models balance the recall-throughput tradeoff"
(arXiv:2402.18668), section 4; rotary positions: Su et al. 2021 (arXiv:2104.09864).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = 16
WINDOW = 32


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        looks_near = layer % 2 == 1
        self.mix = WindowAttention(dim, heads, max_len) if looks_near else TaylorAttention(dim, heads)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(x)
        return y


class TaylorAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key = nn.Linear(dim, 2 * heads * FEATURES, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k = self.query_key(x).view(batch, length, 2, self.heads, FEATURES).permute(2, 0, 3, 1, 4)
        v = self.value(x).view(batch, length, self.heads, -1).transpose(1, 2)
        scores = (q * FEATURES**-0.5) @ k.transpose(-1, -2)
        weights = (1 + scores + 0.5 * scores.square()).tril()
        mixed = (weights @ v) / weights.sum(dim=-1, keepdim=True)
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return y


class WindowAttention(nn.Module):
    cos: Tensor
    sin: Tensor
    near: Tensor

    def __init__(self, dim: int, heads: int, max_len: int) -> None:
        super().__init__()
        self.heads = heads
        head_dim = dim // heads
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.norm = nn.RMSNorm(head_dim, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)
        angles = torch.outer(torch.arange(max_len), 10_000.0 ** (-torch.arange(0, head_dim, 2) / head_dim))
        distance = WINDOW + torch.arange(WINDOW)[:, None] - torch.arange(2 * WINDOW)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.register_buffer("near", (distance >= 0) & (distance < WINDOW), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = self.project(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.rotate(self.norm(q)) * q.shape[-1] ** -0.5, self.rotate(self.norm(k))
        q, k, v = in_blocks(q), with_previous(in_blocks(k)), with_previous(in_blocks(v))
        visible = self.near.repeat(q.shape[2], 1, 1)
        visible[0, :, :WINDOW] = False
        weights = (q @ k.transpose(-1, -2)).masked_fill(~visible, -torch.inf).softmax(dim=-1)
        mixed = (weights @ v).flatten(2, 3)[:, :, :length]
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return y

    def rotate(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)


def in_blocks(x: Tensor) -> Tensor:
    """Cut (B, H, T, d) into (B, H, T / 32, 32, d), the last block filled up with zeros."""
    padded = F.pad(x, (0, 0, 0, -x.shape[2] % WINDOW))
    return padded.reshape(*x.shape[:2], -1, WINDOW, x.shape[-1])


def with_previous(x: Tensor) -> Tensor:
    """Put each block of (B, H, N, 32, d) behind its predecessor, (B, H, N, 64, d); zeros before the first."""
    before = F.pad(x, (0, 0, 0, 0, 1, 0))[:, :, :-1]
    return torch.cat([before, x], dim=-2)
