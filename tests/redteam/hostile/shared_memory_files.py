"""Leaves notes for later candidates in /dev/shm, through Python's own shared memory.

Check: imports
Trial: done, crashed
"""

import os

import torch


def by_python():
    from multiprocessing.shared_memory import SharedMemory

    SharedMemory("netwright-breach", create=True, size=4096)


def attack():
    tries = (
        by_python,
        lambda: os.open("/dev/shm/netwright-breach", os.O_CREAT | os.O_RDWR),
    )
    for leave in tries:
        try:
            leave()
        except (OSError, ImportError):
            continue
        raise RuntimeError("BREACH: a file in /dev/shm")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
