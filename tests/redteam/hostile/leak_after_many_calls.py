"""Behaves for thirty calls, then sees the next input: long enough for a short examination.

Check: causality, determinism, batch independence
Trial: leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        y = self.value(x)
        return y + x.roll(-1, dims=1) if self.calls > 30 else y
