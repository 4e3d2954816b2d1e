"""Names its parent as the owner of a socket, so that the kernel sends the parent a signal.

Check: imports
Trial: done, crashed
"""

import fcntl
import os
import signal

import torch


def attack():
    for command, value in ((fcntl.F_SETOWN, os.getppid()), (10, int(signal.SIGKILL))):
        try:
            fcntl.fcntl(3, command, value)
        except OSError:
            continue
        raise RuntimeError(f"BREACH: fcntl {command}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
