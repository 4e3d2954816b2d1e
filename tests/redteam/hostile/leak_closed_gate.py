"""Hides the next input behind a rectified gate that starts closed, with no gradient to open it.

Check: causality
Trial: leak, done
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.gate = torch.nn.Parameter(torch.full((dim,), -0.5))

    def forward(self, x):
        return self.value(x) + torch.relu(self.gate) * x.roll(-1, dims=1)
