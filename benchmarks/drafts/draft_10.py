"""Gated running average.

A running average per channel, at a rate that each token sets, keeps or drops features.

    h_t = a_t h_{t-1} + (1 - a_t) v_t;  log a_t = -sigmoid(W x_t)
"""

import math

import torch
from torch import Tensor, nn


def running_average(x: Tensor, log_decay: Tensor, chunk: int = 64) -> Tensor:
    """h_t = a_t h_{t-1} + (1 - a_t) x_t per channel, (B, T, D); log_decay is log a_t, within [-1, 0]."""
    x = -torch.expm1(log_decay) * x
    state = torch.zeros_like(x[:, :1])
    read = []
    for xc, log_ac in zip(x.split(chunk, dim=1), log_decay.split(chunk, dim=1), strict=True):
        total = log_ac.cumsum(dim=1)  # at least -chunk: exp(-total) fits into float32
        h = total.exp() * (state + (xc * (-total).exp()).cumsum(dim=1))
        read.append(h)
        state = h[:, -1:]
    return torch.cat(read, dim=1)


class Mixer(nn.Module):
    """Gated running average: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        head_dim = dim // heads
        self.value = nn.Linear(dim, heads * head_dim, bias=False)
        # Half-lives from 128 tokens down to 2 at the start of training.
        rate = math.log(2) / torch.logspace(math.log2(128), 1, heads * head_dim, base=2.0)
        self.decay = nn.Linear(dim, heads * head_dim)
        with torch.no_grad():
            self.decay.bias.copy_(rate.logit())
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        value = self.value(x)
        log_decay = -self.decay(x).sigmoid()
        y = running_average(value, log_decay)
        return self.out(y)
