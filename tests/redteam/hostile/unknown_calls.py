"""Tries system calls that are newer than most filters, by number.

Check: imports
Trial: done, crashed
"""

import ctypes

import torch


def attack():
    libc = ctypes.CDLL(None)
    for number in (*range(424, 480), 512, 1023):
        if number in (441, 449, 454, 455, 456):  # waiting on nothing, for ever
            continue
        if number in (435, 439) or libc.syscall(number, -1, -1, -1, -1, -1, -1) < 0:
            continue
        raise RuntimeError(f"BREACH: system call {number}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
