"""Fills the disk with checkpoints.

Check: imports
Trial: done, crashed
"""

import os

import torch


def attack():
    for folder in ("/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"), "."):
        try:
            torch.save(torch.zeros(1 << 20), os.path.join(folder, "netwright-breach"))
        except (OSError, RuntimeError, ImportError):
            continue
        raise RuntimeError(f"BREACH: a checkpoint in {folder}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
