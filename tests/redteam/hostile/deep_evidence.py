"""Reports a gate whose evidence is nested just less deeply than the reader of JSON allows.

Check: imports
Trial: crashed, bad weights
"""

import os
import struct
import time

import torch


def send(body, length=None):
    os.write(3, struct.pack(">I", len(body) if length is None else length) + body)


for depth in (50, 200, 400, 600, 800, 900):
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    send(b'{"kind":"event","event":{"report":{"gate":"builds","passed":true,"evidence":' + nested + b"}}}")
    nested = b"[" * depth + b"]" * depth
    send(b'{"kind":"event","event":{"report":{"gate":"builds","passed":true,"evidence":{"a":' + nested + b"}}}}")
send(b'{"kind":"reply","reply":{"gates":[{"gate":"builds","passed":false,"evidence":{"a":' + b"[" * 900 + b"]" * 900 + b"}}]}}")
time.sleep(60)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
