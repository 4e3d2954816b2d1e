"""Closes every descriptor that it has and goes on.

Check: imports
Trial: timeout
"""

import os
import struct
import time

import torch


def send(body, length=None):
    os.write(3, struct.pack(">I", len(body) if length is None else length) + body)


os.closerange(0, 256)
while True:
    time.sleep(1)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
