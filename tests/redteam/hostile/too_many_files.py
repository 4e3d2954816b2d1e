"""Takes every descriptor that it can get, and every pipe.

Check: imports
Trial: done, crashed, too many files, out of memory, timeout
"""

import os

import torch


def attack():
    held = []
    try:
        while len(held) < 1 << 16:
            held.append(os.dup(1))
    except OSError:
        pass
    if len(held) > 1000:
        raise RuntimeError(f"BREACH: {len(held)} descriptors")
    for descriptor in held:
        os.close(descriptor)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
