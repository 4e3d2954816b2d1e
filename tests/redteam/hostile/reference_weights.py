"""Looks for trained weights of others: in memory, in the usual folders, in what the job was given.

Check: imports
Trial: done, crashed
"""

import gc
import glob
import os

import torch


def attack():
    own = sum(thing.numel() for thing in gc.get_objects() if type(thing) is torch.nn.Parameter)
    if own > 1 << 22:
        raise RuntimeError("BREACH: foreign weights in memory")
    for folder in (".netwright/artifacts", "/root/.cache", "/tmp", "/var/tmp", "/home", "."):
        found = glob.glob(os.path.join(folder, "*"))
        if found:
            raise RuntimeError(f"BREACH: listed {found[0]}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
