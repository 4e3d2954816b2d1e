"""Reports numbers of thousands of digits, no numbers, and dates before the beginning of time.

Check: imports
Trial: crashed, bad weights
"""

import os
import struct
import time

import torch


def send(body, length=None):
    os.write(3, struct.pack(">I", len(body) if length is None else length) + body)


for number in (b"9" * 4000, b"-" + b"9" * 4000, b"NaN", b"-Infinity", b"1e400", b"-0.0", b"1e-400"):
    send(b'{"kind":"event","event":{"step":' + number + b',"steps":' + number + b',"loss":' + number + b"}}")
    send(b'{"kind":"event","event":{"report":{"gate":"builds","passed":true,"seconds":' + number + b',"evidence":{"x":' + number + b"}}}}")
send(b'{"kind":"reply","reply":{"status":"done","reason":"","steps":40,"weights_bytes":' + b"9" * 4000 + b',"gates":[]}}')
time.sleep(60)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
