"""Writes files where others would find them, and into its own libraries.

Check: imports
Trial: done, crashed
"""

import os

import torch


def attack():
    for place in ("/tmp/netwright-breach", "/dev/shm/netwright-breach", "/var/tmp/netwright-breach", torch.__file__):
        try:
            with open(place, "ab"):
                pass
        except OSError:
            continue
        raise RuntimeError(f"BREACH: wrote {place}")
    try:
        os.chmod(torch.__file__, 0o777)
    except OSError:
        return
    raise RuntimeError("BREACH: chmod")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
