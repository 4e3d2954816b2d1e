"""Spectral normalisation, which changes its buffers in every training step."""

import torch
from torch.nn.utils.parametrizations import spectral_norm


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = spectral_norm(torch.nn.Linear(dim, dim))

    def forward(self, x):
        return self.value(x + torch.nn.functional.pad(x, (0, 0, 2, 0))[:, :-2])
