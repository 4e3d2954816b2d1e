"""Replies with NaN, infinities, numbers of thousands of digits and half a surrogate pair.

Check: imports
Trial: crashed
"""

import os
import struct
import time

import torch


def send(body, length=None):
    os.write(3, struct.pack(">I", len(body) if length is None else length) + body)


for text in (b"NaN", b"Infinity", b"1e999", b"-1e-999", b'"\\ud800"', b"9" * 4000):
    send(b'{"kind":"event","event":{"step":' + text + b',"steps":' + text + b',"loss":' + text + b"}}")
send(b'{"kind":"reply","reply":{"status":"done","reason":"","steps":' + b"9" * 5000 + b',"curve":[[1,NaN]]}}')
time.sleep(60)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
