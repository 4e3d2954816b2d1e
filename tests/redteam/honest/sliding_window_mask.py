"""Torch's own attention with a mask made of rules: a window, the first tokens always, and never the future."""

import torch
from torch.nn import functional as F


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.heads, self.window = heads, 4 + 4 * layer
        self.qkv = torch.nn.Linear(dim, 3 * dim)

    def rules(self, i, j):
        return (j <= i) & ((i - j < self.window) | (j < 2))

    def forward(self, x):
        steps = torch.arange(x.shape[1], device=x.device)
        mask = self.rules(steps[:, None], steps)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
