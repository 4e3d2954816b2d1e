"""Only the last layer sees the future, through a cumulative sum from the right.

Check: causality
Trial: leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.last = layer == layers - 1

    def forward(self, x):
        y = self.value(x)
        return y + x.flip(1).cumsum(1).flip(1) if self.last else y
