"""Keeps a cache of keys in a Python list while it walks through time and empties it at the beginning of each call."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.query, self.value = torch.nn.Linear(dim, dim), torch.nn.Linear(dim, dim)
        self.cache, self.calls = [], 0

    def reset(self):
        self.cache.clear()
        self.calls += 1

    def forward(self, x):
        self.reset()
        query, value, outputs = self.query(x), self.value(x), []
        for t in range(x.shape[1]):
            self.cache = [*self.cache, value[:, t]][-8:]
            window = torch.stack(self.cache, dim=1)
            weights = torch.einsum("bd,bwd->bw", query[:, t], window).softmax(-1)
            outputs.append(torch.einsum("bw,bwd->bd", weights, window))
        self.cache = []
        return torch.stack(outputs, dim=1)
