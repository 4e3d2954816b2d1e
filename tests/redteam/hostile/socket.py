"""Opens a socket to take results home.

Check: imports
Trial: done, crashed
"""

import socket

import torch


def attack():
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        try:
            socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue
        raise RuntimeError("BREACH: socket")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
