"""Announces stages without end, which are neither events nor replies, to keep the trusted side reading.

Check: imports
Trial: too much output
"""

import os
import struct
import time

import torch


def send(body, length=None):
    os.write(3, struct.pack(">I", len(body) if length is None else length) + body)


frames = (struct.pack(">I", 33) + b'{"kind":"stage","stage":"answer"}') * 1000
while True:
    os.write(3, frames)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
