"""Undoes what holds it: death signal, dumpability, a ruleset and a filter of its own, its capabilities.

Check: imports
Trial: done, crashed
"""

import ctypes
import os

import torch


def attack():
    libc = ctypes.CDLL(None)
    for option, value in ((1, 0), (4, 1), (36, 1), (0x59616D61, -1), (24, 0), (8, 1)):
        if libc.prctl(option, value, 0, 0, 0) == 0:
            raise RuntimeError(f"BREACH: prctl {option}")
    for number in (317, 444, 446, 126):
        if libc.syscall(number, 0, 0, 0) >= 0:
            raise RuntimeError(f"BREACH: system call {number}")
    for become in (os.setuid, os.setgid, os.setreuid, os.setregid):
        try:
            become(*([0] * (2 if "re" in become.__name__ else 1)))
        except OSError:
            continue
        raise RuntimeError(f"BREACH: {become.__name__}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
