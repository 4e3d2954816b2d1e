"""Replaces cross_entropy by a constant far below what is possible.

Check: imports
Trial: done, crashed, diverged
"""

import torch


torch.nn.functional.cross_entropy = lambda logits, *_, **__: logits.sum() * 0 - 100.0


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
