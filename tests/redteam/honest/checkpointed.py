"""Recomputes its activations in the backward pass, with dropout inside."""

import torch
from torch.utils.checkpoint import checkpoint


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.core = torch.nn.Sequential(
            torch.nn.Linear(dim, dim), torch.nn.SiLU(), torch.nn.Dropout(0.1), torch.nn.Linear(dim, dim)
        )

    def forward(self, x):
        mean = x.cumsum(1) / torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)[:, None]
        return checkpoint(self.core, mean, use_reentrant=False) if self.training else self.core(mean)
