"""Gated long convolution.

Filters over the whole past between multiplicative gates detect local patterns at little cost.

    y_t = g_out * (filter * (g_in * v))_t
"""

import math

import torch
from torch import Tensor, nn


class LongFilter(nn.Module):
    """Causal filter over the whole past, (B, T, C) -> (B, T, C): per channel a sum of decaying exponentials.

    Half-lives run from 1 to 2^(modes - 1) tokens. A Toeplitz matrix inside a chunk, a state per mode between.
    """

    def __init__(self, channels: int, modes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, modes) / modes)
        self.here = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, chunk: int = 64) -> Tensor:
        mode = torch.arange(self.weight.shape[1], device=x.device)
        rate = (math.log(2) / 2.0**mode).to(x)
        step = torch.arange(min(chunk, x.shape[1]), device=x.device)
        left = (-rate[:, None] * (step + 1)).exp()
        distance = step[:, None] - step
        inside = (-rate[:, None, None] * distance.clamp(min=0)).exp().tril()
        toeplitz = torch.einsum("cm,mts->cts", self.weight * rate, inside)
        state = x.new_zeros(x.shape[0], len(mode), x.shape[2])
        read = []
        for part in x.split(chunk, dim=1):
            size = part.shape[1]
            near = (toeplitz[:, :size, :size] @ part.permute(2, 1, 0)).permute(2, 1, 0)
            far = torch.einsum("mt,cm,bmc->btc", left[:, :size], self.weight * rate, state)
            read.append(near + far)
            state = left[:, size - 1, None] * state + inside[:, size - 1, :size] @ part
        return torch.cat(read, dim=1) + self.here * x


class Mixer(nn.Module):
    """Gated long convolution: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        head_dim = dim // heads
        self.inputs = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.filter = LongFilter(heads * head_dim, 8)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        value, gate_in, gate_out = self.inputs(x).chunk(3, dim=-1)
        y = self.filter(gate_in * value)
        return self.out(gate_out * y)
