"""Raises an error whose text takes for ever to make, or is of megabytes, or raises in turn.

Check: shapes, builds
Trial: crashed, timeout, out of memory, too much output
"""

import torch


class Talkative(Exception):
    def __str__(self):
        raise Talkative("again") if len(self.args) > 1 else RuntimeError("no text")

    __repr__ = __str__


def attack():
    raise Talkative("x" * (1 << 24), 1)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
