"""Trains on in a background thread while, and after, its turn is over.

Check: imports
Trial: done, crashed, leak, too many threads, timeout, diverged
"""

import threading
import time

import torch


def work(parameter):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        parameter.data.mul_(0.9999)
        time.sleep(0.001)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        threading.Thread(target=work, args=(self.value.weight,), daemon=True).start()

    def forward(self, x):
        return self.value(x)
