"""Looks for keys in its environment, in the environment block of its memory and in what torch remembers.

Check: imports
Trial: done, crashed
"""

import ctypes
import os

import torch


def attack():
    block = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    found, number = dict(os.environ), 0
    while block and block[number]:
        name, _, value = block[number].decode(errors="replace").partition("=")
        found[name] = value
        number += 1
    telling = [name for name in found if any(word in name.upper() for word in ("KEY", "TOKEN", "SECRET", "PASSWORD"))]
    if telling or found.get("HOME", "/nonexistent") != "/nonexistent":
        raise RuntimeError(f"BREACH: {telling}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
