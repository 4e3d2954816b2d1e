"""Answers with a tensor that claims a million features.

Check: shapes
Trial: crashed
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)[..., :1].expand(-1, -1, 1 << 20)
