"""Hoards memory in anonymous files, which no watch over resident memory sees.

Check: imports
Trial: done, crashed
"""

import os

import torch


def attack():
    try:
        descriptor = os.memfd_create("hoard")
        os.ftruncate(descriptor, 1 << 34)
    except OSError:
        return
    raise RuntimeError("BREACH: memfd_create")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
