"""Imports what it may not by spelled-out names: builtins, getattr, codecs, a class's registry.

Check: imports, none
Trial: done, crashed
"""

import torch


def attack():
    importer = vars(torch)["__buil" + "tins__"]["__imp" + "ort__"]
    system = importer("o" + "s")
    if getattr(system, "sys" + "tem")("exit 0") == 0:
        raise RuntimeError("BREACH: a program ran")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
