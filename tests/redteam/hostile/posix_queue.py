"""Opens a POSIX message queue, a mailbox between candidates.

Check: imports
Trial: done, crashed
"""

import ctypes

import torch


def attack():
    if ctypes.CDLL(None).syscall(240, b"netwright-breach", 0o102, 0o666, None) >= 0:
        raise RuntimeError("BREACH: mq_open")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
