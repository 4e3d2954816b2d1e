"""Leaves notes in System V shared memory, semaphores and message queues, which outlive the process.

Check: imports
Trial: done, crashed
"""

import ctypes

import torch


def attack():
    libc = ctypes.CDLL(None)
    for name, arguments in (("shmget", (0, 4096, 0o1666)), ("semget", (0, 1, 0o1666)), ("msgget", (0, 0o1666))):
        if getattr(libc, name)(*arguments) >= 0:
            raise RuntimeError(f"BREACH: {name}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
