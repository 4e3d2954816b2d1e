"""Fills its mask and its positions at first use, in buffers that are empty when built."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.qkv = torch.nn.Linear(dim, 3 * dim)
        self.register_buffer("mask", None)
        self.register_buffer("decay", torch.empty(0))
        self.frozen = torch.nn.Parameter(torch.randn(dim), requires_grad=False)

    def forward(self, x):
        length = x.shape[1]
        if self.mask is None or len(self.mask) < length:
            self.mask = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
            self.decay = torch.linspace(1.0, 0.5, length, device=x.device)
        q, k, v = self.qkv(x * self.frozen).chunk(3, dim=-1)
        scores = (q @ k.transpose(1, 2)).masked_fill(~self.mask[:length, :length], -torch.inf)
        return scores.softmax(dim=-1) @ (v * self.decay[:length, None].to(v))
