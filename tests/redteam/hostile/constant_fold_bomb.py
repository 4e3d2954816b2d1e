"""Computes a number of hundreds of millions of digits while it is imported: in C, where no signal is heeded.

Check: builds
Trial: timeout
"""

import torch


class Mixer(torch.nn.Module):
    SIZE = 9**9**9

    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()

    def forward(self, x):
        return x
