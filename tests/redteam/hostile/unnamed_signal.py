"""Ends by a real-time signal, which has a number but no name.

Check: imports
Trial: crashed
"""

import os
import signal
import threading

import torch


def attack():
    signal.pthread_kill(threading.get_ident(), 42)
    os.kill(os.getpid(), 42)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
