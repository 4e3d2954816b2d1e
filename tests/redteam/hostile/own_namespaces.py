"""Makes itself root of namespaces of its own, where more of the kernel answers.

Check: imports
Trial: done, crashed
"""

import ctypes

import torch


def attack():
    libc = ctypes.CDLL(None)
    for flags in (0x10000000, 0x10020000, 0x00020000, 0x40000000, 0x20000000):
        if libc.unshare(flags) == 0:
            raise RuntimeError("BREACH: unshare")
    if libc.chroot(b"/") == 0 or libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0:
        raise RuntimeError("BREACH: mount")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
