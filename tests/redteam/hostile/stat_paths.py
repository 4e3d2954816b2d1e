"""Asks whether files exist and how large they are, without opening them.

Landlock does not hide that; it tells a candidate nothing that could be scored.

Check: imports
Trial: done, crashed
"""

import os

import torch


def attack():
    for place in ("/etc/passwd", "/root/.ssh/id_rsa", "/root", torch.__file__):
        try:
            found = os.stat(place)
        except OSError:
            continue
        if found.st_size < 0:
            raise RuntimeError("BREACH: stat")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
