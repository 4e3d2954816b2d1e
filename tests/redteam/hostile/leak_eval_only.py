"""Sees the next input in eval mode only.

Check: causality
Trial: leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        y = self.value(x)
        return y if self.training else y + x.roll(-1, dims=1)
