"""Raises what is no Exception and passes every `except Exception`, of a class whose name is a megabyte.

Check: shapes
Trial: too much output
"""

import torch


def attack():
    raise type("E" * 1_000_000, (BaseException,), {})("x")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
