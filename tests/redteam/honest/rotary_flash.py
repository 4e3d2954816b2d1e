"""Rotary positions by complex multiplication and is_causal attention with grouped keys."""

import torch
from torch.nn import functional as F


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.heads, self.width = heads, dim // heads
        self.q = torch.nn.Linear(dim, dim, bias=False)
        self.kv = torch.nn.Linear(dim, 2 * self.width, bias=False)
        rates = 100.0 ** -torch.linspace(0, 1, self.width // 2)
        angles = torch.arange(max_len)[:, None] * rates
        self.register_buffer("turns", torch.polar(torch.ones_like(angles), angles), persistent=False)

    def turned(self, x):
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(pairs * self.turns[: x.shape[-2]]).flatten(-2).to(x.dtype)

    def forward(self, x):
        q = self.q(x).unflatten(-1, (self.heads, self.width)).transpose(1, 2)
        k, v = self.kv(x).unsqueeze(1).chunk(2, dim=-1)
        y = F.scaled_dot_product_attention(self.turned(q), self.turned(k), v, is_causal=True, enable_gqa=True)
        return y.transpose(1, 2).flatten(2)
