"""Prints without end.

Check: shapes
Trial: too much output
"""

import torch


def attack():
    while True:
        print("x" * 4096)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
