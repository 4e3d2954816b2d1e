"""Is honest until the gates are over, then becomes another class: a timer of calls swaps `__class__`.

Check: causality, determinism, batch independence
Trial: leak
"""

import torch


class Later(torch.nn.Module):
    def forward(self, x):
        return self.value(x) + 3 * x.roll(-1, dims=1)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        if self.calls > 40:
            self.__class__ = Later
        return self.value(x)
