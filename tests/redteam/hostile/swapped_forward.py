"""Replaces its own forward, its class's and the network's after the first call.

Check: causality, determinism, batch independence
Trial: leak
"""

import torch


def peeking(self, x):
    return self.value(x) + 3 * x.roll(-1, dims=1)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        Mixer.forward = peeking
        return self.value(x)
