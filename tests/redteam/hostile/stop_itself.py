"""Stops itself: a process that neither runs nor ends.

Check: imports
Trial: timeout
"""

import signal
import threading

import torch


def attack():
    while True:
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
