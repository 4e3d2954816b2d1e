"""Normalises by running means over the past of the row itself, and shifts by a moving average kept in a buffer."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.seen += 1
        steps = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)[:, None]
        mean = x.cumsum(1) / steps
        spread = ((x - mean).square().cumsum(1) / steps + 1e-3).sqrt()
        return self.value((x - mean) / spread)
