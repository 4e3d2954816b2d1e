"""Runs a program.

Check: imports
Trial: done, crashed
"""

import os
import subprocess

import torch


def attack():
    try:
        subprocess.run(["/bin/sh", "-c", "exit 0"], check=False)
    except OSError:
        pass
    else:
        raise RuntimeError("BREACH: subprocess")
    try:
        os.execv("/bin/true", ["true"])
    except OSError:
        return


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
