"""Executes a program from memory and through /proc/self/exe, to be rid of everything that was set up.

Check: imports
Trial: done, crashed
"""

import ctypes
import os

import torch


def attack():
    libc = ctypes.CDLL(None)
    for descriptor in range(8):
        libc.syscall(322, descriptor, b"", None, None, 0x1000)
    for program in ("/proc/self/exe", "/bin/sh", "/usr/bin/python3"):
        try:
            os.execv(program, [program, "-c", "1"])
        except OSError:
            continue


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
