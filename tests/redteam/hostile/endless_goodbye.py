"""Never finishes ending: atexit handlers, destructors and finalizers that loop.

Check: imports
Trial: done, crashed, timeout
"""

import atexit
import threading
import time

import torch


class Clinging:
    def __del__(self):
        while True:
            time.sleep(1)


def linger():
    while True:
        time.sleep(1)


atexit.register(linger)
threading.Thread(target=linger).start()
CLINGING = Clinging()


def attack():
    torch.clinging = CLINGING


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
