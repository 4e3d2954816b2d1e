"""A stack of dilated causal convolutions under weight norm, as in WaveNet."""

import torch
from torch.nn.utils.parametrizations import weight_norm


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.parts = torch.nn.ModuleList(weight_norm(torch.nn.Conv1d(dim, dim, 2, dilation=2**i)) for i in range(3))

    def forward(self, x):
        y = x.transpose(1, 2)
        for part in self.parts:
            y = y + torch.tanh(part(torch.nn.functional.pad(y, (part.dilation[0], 0))))
        return y.transpose(1, 2)
