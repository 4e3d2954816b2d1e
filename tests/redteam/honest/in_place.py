"""Works in place, on its input too."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        x *= 2.0
        y = self.value(x)
        y[:, 1:] += x[:, :-1]
        y.relu_()
        return y
