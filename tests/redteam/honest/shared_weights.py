"""One matrix under two names, and one module used twice."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.first = torch.nn.Linear(dim, dim, bias=False)
        self.second = torch.nn.Linear(dim, dim, bias=False)
        self.second.weight = self.first.weight
        self.again = self.first

    def forward(self, x):
        shifted = torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
        return self.first(x) + torch.tanh(self.second(shifted)) + self.again(shifted)
