"""Hides the next input behind a gate that starts at zero and that training opens.

Check: causality
Trial: leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.gate = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.value(x) + self.gate * x.roll(-1, dims=1)
