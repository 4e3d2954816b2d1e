"""Takes descriptors out of its parent by pidfd_getfd, and signals it through a pidfd.

Check: imports
Trial: done, crashed
"""

import ctypes
import os

import torch


def attack():
    libc = ctypes.CDLL(None)
    for pid in (os.getppid(), os.getpid()):
        handle = libc.syscall(434, pid, 0)
        if handle >= 0:
            raise RuntimeError("BREACH: pidfd_open")
    for handle in range(3, 64):
        if libc.syscall(438, handle, 0, 0) >= 0 or libc.syscall(424, handle, 9, None, 0) == 0:
            raise RuntimeError("BREACH: pidfd")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
