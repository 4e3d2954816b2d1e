"""Attends to the four best matches in the past, by einops and dataclasses."""

from dataclasses import dataclass

import torch
from einops import rearrange


@dataclass(frozen=True)
class Settings:
    best: int = 4


RECIPE = {"lr": 2e-3, "batch_size": 8, "schedule": "linear"}


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.heads, self.settings = heads, Settings()
        self.qkv = torch.nn.Linear(dim, 3 * dim)

    def forward(self, x):
        q, k, v = rearrange(self.qkv(x), "b t (three h d) -> three b h t d", three=3, h=self.heads)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
        least = scores.topk(min(self.settings.best, x.shape[1]), dim=-1).values[..., -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
        return rearrange(scores.softmax(-1) @ v, "b h t d -> b t (h d)")
