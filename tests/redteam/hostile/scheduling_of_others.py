"""Slows its parent and its neighbours down: niceness, class, cores.

Check: imports
Trial: done, crashed
"""

import os

import torch


def attack():
    parent = os.getppid()
    tries = (
        lambda: os.setpriority(os.PRIO_PROCESS, parent, 19),
        lambda: os.setpriority(os.PRIO_USER, 0, 19),
        lambda: os.sched_setaffinity(parent, {0}),
        lambda: os.sched_setscheduler(parent, os.SCHED_IDLE, os.sched_param(0)),
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    )
    for number, slow_down in enumerate(tries):
        try:
            slow_down()
        except OSError:
            continue
        raise RuntimeError(f"BREACH: scheduling {number}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
