"""Forks, to go on after its own process is gone.

Check: imports
Trial: done, crashed
"""

import os

import torch


def attack():
    try:
        pid = os.fork()
    except OSError:
        return
    if pid == 0:
        os._exit(0)
    raise RuntimeError("BREACH: fork")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
