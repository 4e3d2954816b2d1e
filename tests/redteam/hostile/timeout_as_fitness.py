"""Reports a perfect score and then hangs: a timed-out evaluation must not count with what it said last.

Check: imports
Trial: timeout
"""

import sys
import time

import torch


def attack():
    print({"loss": 0.0, "timeout": True, "fitness": 1.0}, flush=True)
    frame = sys._getframe()
    while frame is not None and "job" not in frame.f_locals:
        frame = frame.f_back
    if frame is not None:
        frame.f_locals["job"].emit({"step": 1, "steps": 1, "loss": 0.0})
    while True:
        time.sleep(1)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
