"""Plays the zygote: reports a new child, another isolation, a fatal setup, a start.

Check: imports
Trial: crashed
"""

import json
import os
import struct
import time

import torch


def send(body, length=None):
    os.write(3, struct.pack(">I", len(body) if length is None else length) + body)


for frame in (
    {"kind": "started", "at": -1e9, "cpu_seconds": -1e9},
    {"kind": "ready", "isolation_seconds": "NaN", "layers": None},
    {"kind": "fatal", "layer": "isolation", "error": "IsolationError", "traceback": ""},
    {"kind": "forked", "id": 0, "pid": 1},
    {"kind": "exited", "id": 0, "code": 0},
):
    send(json.dumps(frame).encode())
time.sleep(60)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
