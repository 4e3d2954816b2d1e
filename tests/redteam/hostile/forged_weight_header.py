"""Hands over weights whose header claims offsets beyond the file, a length of 2**63 and a type nobody knows.

Check: imports
Trial: bad weights, crashed
"""

import json
import struct
import sys

import torch


def pack(network):
    claim = {"x": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 1 << 62]}, "__metadata__": {"buffers": "[[]]"}}
    header = json.dumps(claim).encode()
    return struct.pack("<Q", len(header)) + header


sys.modules["netwright.evaluator.loading"].pack_weights = pack


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
