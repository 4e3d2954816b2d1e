"""A depthwise convolution whose kernel is as long as the longest input, padded on the left."""

import torch
from torch.nn import functional as F


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.max_len = max_len
        self.convolution = torch.nn.Conv1d(dim, dim, max_len, groups=dim)
        self.mix = torch.nn.Conv1d(dim, dim, 1)

    def forward(self, x):
        padded = F.pad(x.transpose(1, 2), (self.max_len - 1, 0))
        return self.mix(F.gelu(self.convolution(padded))).transpose(1, 2)
