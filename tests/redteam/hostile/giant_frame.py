"""Announces a frame of four gigabytes.

Check: imports
Trial: too much output
"""

import os
import struct
import time

import torch


def send(body, length=None):
    os.write(3, struct.pack(">I", len(body) if length is None else length) + body)


send(b"{}", 0xFFFFFFFF)
time.sleep(60)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
