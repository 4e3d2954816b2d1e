"""Never comes back from C code that holds the interpreter's lock.

Check: builds, shapes
Trial: timeout
"""

import collections
import itertools

import torch


def attack():
    collections.deque(itertools.repeat(0), maxlen=0)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
