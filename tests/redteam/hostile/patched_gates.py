"""Leaks, and replaces the examination in its own process so that it finds nothing.

Check: imports
Trial: leak
"""

import sys

import torch


for name in ("future_effect", "gradient_effect", "length_effect", "row_effect", "order_effect"):
    setattr(sys.modules["netwright.evaluator.causality"], name, lambda *_, **__: None)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x) + x.roll(-1, dims=1)
