"""Sums from the end, by flips around a cumulative sum.

Check: causality
Trial: leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x.flip(1).cumsum(1).flip(1) / x.shape[1])
