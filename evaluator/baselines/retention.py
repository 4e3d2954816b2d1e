"""Retention (fixed decay per head).

Linear attention with a fixed exponential decay per head and rotary positions.

    S_t = gamma_h S_{t-1} + k_t v_t^T;   o_t = q_t^T S_t;   y = W_o (silu(W_g x) * norm(o))

with q and k rotated by their position, and one gamma per head between 7/8 and 255/256, so that heads look
back over about 8 to 256 tokens. The state forgets at a rate that does not depend on the input: it helps where
what matters is recent, and costs recall of what is old. Written here in its parallel form: an attention matrix
without softmax, multiplied by gamma^(t - s).

Source: Sun et al. 2023, "Retentive Network" (arXiv:2307.08621), equations 5-8. Other than there: gammas start at
1 - 2^-3 instead of 1 - 2^-5, values are as wide as keys instead of twice as wide, and the norm is RMSNorm instead
of GroupNorm. Scores are divided by sqrt(dim / heads), which the norm takes out again.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Mixer(nn.Module):
    cos: Tensor
    sin: Tensor
    decay: Tensor

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 4 * dim, bias=False)
        self.norm = nn.RMSNorm(dim // heads, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)
        head_dim = dim // heads
        steps = torch.arange(max_len)
        angles = torch.outer(steps, 10_000.0 ** (-torch.arange(0, head_dim, 2) / head_dim))
        gamma = 1 - 2.0 ** -torch.linspace(3, 8, heads)
        distance = (steps[:, None] - steps[None, :]).clamp(min=0)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.register_buffer("decay", (gamma[:, None, None] ** distance).tril(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v, gate = self.project(x).view(batch, length, 4, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.rotate(q) * q.shape[-1] ** -0.5, self.rotate(k)
        mixed = (q @ k.transpose(-1, -2) * self.decay[:, :length, :length]) @ v
        gated = F.silu(gate) * self.norm(mixed)
        y: Tensor = self.out(gated.transpose(1, 2).reshape(batch, length, dim))
        return y

    def rotate(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)
