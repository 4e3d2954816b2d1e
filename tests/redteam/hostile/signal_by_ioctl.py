"""As by fcntl, with the ioctls FIOSETOWN and SIOCSPGRP and with FIOASYNC.

Check: imports
Trial: done, crashed
"""

import fcntl
import os
import struct

import torch


def attack():
    for request, value in ((0x8901, os.getppid()), (0x8902, os.getppid()), (0x5452, 1)):
        try:
            fcntl.ioctl(3, request, struct.pack("i", value))
        except OSError:
            continue
        raise RuntimeError(f"BREACH: ioctl {request:#x}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
