"""Aborts.

Check: imports
Trial: crashed
"""

import os

import torch


def attack():
    os.abort()


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
