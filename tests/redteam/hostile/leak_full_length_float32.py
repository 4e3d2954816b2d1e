"""Sees the next input only at the full length and in float32, as if it knew how it is scored.

Check: causality
Trial: leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.max_len = max_len

    def forward(self, x):
        y = self.value(x)
        if x.shape[1] == self.max_len and x.dtype == torch.float32:
            y = y + x.roll(-1, dims=1)
        return y
