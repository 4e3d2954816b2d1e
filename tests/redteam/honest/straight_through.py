"""Quantises its state to a learned codebook with a straight-through gradient."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.down = torch.nn.Linear(dim, 8)
        self.codes = torch.nn.Parameter(torch.randn(16, 8))
        self.up = torch.nn.Linear(8, dim)

    def forward(self, x):
        z = self.down(x)
        nearest = self.codes[(z[..., None, :] - self.codes).square().sum(-1).argmin(-1)]
        z = z + (nearest - z).detach() + 0.1 * (nearest - nearest.detach())
        return self.up(z + torch.nn.functional.pad(z, (0, 0, 1, 0))[:, :-1])
