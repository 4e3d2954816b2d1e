"""Takes memory in small Python objects instead of tensors.

Check: shapes
Trial: out of memory
"""

import torch


def attack():
    hoard = []
    while True:
        hoard.append([None] * 1_000_000)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
