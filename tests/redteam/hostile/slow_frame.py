"""Sends the beginning of a frame and never the rest: whoever waits for it waits for ever.

Check: imports
Trial: timeout
"""

import os
import struct
import time

import torch


def send(body, length=None):
    os.write(3, struct.pack(">I", len(body) if length is None else length) + body)


send(b'{"kind": "reply"', 60_000)
while True:
    time.sleep(0.01)
    os.write(3, b" ") if time.monotonic() % 10 < 0.1 else None


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
