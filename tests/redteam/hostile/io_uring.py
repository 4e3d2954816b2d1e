"""Opens an io_uring, whose operations a system call filter does not see.

Check: imports
Trial: done, crashed
"""

import ctypes

import torch


def attack():
    parameters = ctypes.create_string_buffer(120)
    if ctypes.CDLL(None).syscall(425, 4, parameters) >= 0:
        raise RuntimeError("BREACH: io_uring_setup")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
