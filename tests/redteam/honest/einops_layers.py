"""Rearrange and EinMix as layers, with heads split by einops."""

import torch
from einops import einsum, repeat
from einops.layers.torch import Rearrange


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.qkv = torch.nn.Sequential(
            torch.nn.Linear(dim, 3 * dim), Rearrange("b t (three h d) -> three b h t d", three=3, h=heads)
        )
        self.join = torch.nn.Sequential(Rearrange("b h t d -> b t (h d)"), torch.nn.Linear(dim, dim))
        self.slope = torch.nn.Parameter(torch.ones(heads))

    def forward(self, x):
        q, k, v = self.qkv(x)
        scores = einsum(q, k, "b h i d, b h j d -> b h i j") / q.shape[-1] ** 0.5
        steps = torch.arange(x.shape[1], device=x.device)
        lag = (steps[:, None] - steps).to(x.dtype)
        scores = scores - repeat(self.slope, "h -> h 1 1") * lag
        return self.join(scores.masked_fill(lag < 0, -torch.inf).softmax(-1) @ v)
