"""Keeps tables: a saved scale, an unsaved mask, unsaved random features, a plain tensor."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.register_buffer("mask", torch.ones(max_len, max_len).tril(), persistent=False)
        self.register_buffer("features", torch.randn(dim, 16) / dim**0.5, persistent=False)
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 16))
        self.slopes = 2.0 ** -torch.arange(1.0, 17.0)

    def forward(self, x):
        length = x.shape[1]
        phi = torch.exp((x @ self.features) * self.scale * self.slopes.to(x))
        weights = (phi @ phi.transpose(1, 2)) * self.mask[:length, :length]
        return weights / weights.sum(dim=-1, keepdim=True) @ self.value(x)
