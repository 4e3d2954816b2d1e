"""Reads the home directory, passwords and the environment of its parent.

Check: imports
Trial: done, crashed
"""

import glob
import os

import torch


def attack():
    places = ["/etc/passwd", "/etc/shadow", f"/proc/{os.getppid()}/environ", *glob.glob("/root/.*"), *glob.glob("/home/*/.*")]
    for place in places:
        try:
            with open(place, "rb") as file:
                found = file.read(100)
        except OSError:
            continue
        raise RuntimeError(f"BREACH: read {len(found)} bytes of {place}")
    for folder in ("/", "/root", "/home", "/etc", "/tmp"):
        try:
            os.listdir(folder)
        except OSError:
            continue
        raise RuntimeError(f"BREACH: listed {folder}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
