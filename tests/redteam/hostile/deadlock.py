"""Waits for a lock that it holds itself.

Check: imports
Trial: timeout
"""

import threading

import torch


LOCK = threading.Lock()


def attack():
    LOCK.acquire()
    LOCK.acquire()


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
