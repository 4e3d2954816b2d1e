"""Makes system calls with the number's x32 bit set, which a filter of plain numbers does not match.

Check: imports
Trial: done, crashed
"""

import ctypes
import platform

import torch


def attack():
    if platform.machine() == "x86_64" and ctypes.CDLL(None).syscall(0x40000000 | 57) >= 0:
        raise RuntimeError("BREACH: fork of x32")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
