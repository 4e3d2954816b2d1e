"""Hands over weights whose header is nested so deeply that reading it overflows the reader's stack.

Check: imports
Trial: bad weights, crashed
"""

import struct
import sys

import torch


def pack(network):
    header = b'{"__metadata__":' + b"[" * 15_000 + b"]" * 15_000 + b"}"
    return struct.pack("<Q", len(header)) + header


sys.modules["netwright.evaluator.loading"].pack_weights = pack


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
