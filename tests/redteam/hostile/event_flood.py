"""Sends progress reports without end through the channel that it finds on the stack.

Check: imports
Trial: too much output, crashed
"""

import sys

import torch


def attack():
    frame = sys._getframe()
    while frame is not None and "job" not in frame.f_locals:
        frame = frame.f_back
    while frame is not None:
        frame.f_locals["job"].emit({"step": 1, "steps": 1, "loss": -100.0})


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
