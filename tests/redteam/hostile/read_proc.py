"""Reads /proc: command lines, environments, descriptors and maps of every process.

Check: imports
Trial: done, crashed
"""

import os

import torch


def attack():
    for pid in ("self", "1", str(os.getppid()), "thread-self"):
        for name in ("environ", "cmdline", "status", "maps", "stat", "mounts", "root/etc/passwd", "cwd/README.md"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    file.read(10)
            except OSError:
                continue
            raise RuntimeError(f"BREACH: read /proc/{pid}/{name}")
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    raise RuntimeError(f"BREACH: listed {len(names)} processes")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
