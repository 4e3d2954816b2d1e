"""Trains well and then hands over weights that are not finite.

Check: imports
Trial: bad weights
"""

import torch


numbers = torch.Tensor.clone


def clone(self, *, memory_format=torch.preserve_format):
    copy = numbers(self, memory_format=memory_format)
    return copy + float("nan") if memory_format is torch.contiguous_format else copy


torch.Tensor.clone = clone


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
