"""Hybrid of short convolution, running average and long convolution in alternating layers.

Filters over the last few tokens between multiplicative gates detect local patterns at little cost. A running
average per channel, at a rate that each token sets, keeps or drops features. Filters over the whole past
between multiplicative gates detect local patterns at little cost. A learned skip lets a layer do less where
mixing does not help. Each branch has half of the heads, so both fit into the size of one. Alternating layers
let one kind of mixing prepare what the other reads.

    y_t = g_out * (filter * v)_t
    h_t = a_t h_{t-1} + (1 - a_t) v_t;  log a_t = -sigmoid(W x_t)
"""

import math

import torch
import torch.nn.functional as F
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


class ShortFilter(nn.Module):
    """Causal depthwise filter over the last `kernel` tokens: (B, T, C) -> (B, T, C)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.empty(kernel, channels).uniform_(-1, 1) * kernel**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        past = F.pad(x, (0, 0, len(self.taps) - 1, 0))
        return sum(tap * past[:, i : i + x.shape[1]] for i, tap in enumerate(self.taps))


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


class EvenGatedConvolution(nn.Module):
    """Gated short convolution, scaled skip: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(dim, 2 * heads * head_dim, bias=False)
        self.filter = ShortFilter(heads * head_dim, 4)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)
        self.skip = nn.Parameter(torch.full((dim,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        value, gate_out = self.inputs(x).chunk(2, dim=-1)
        y = self.filter(value)
        return self.out(gate_out * y) + self.skip * x


class GatedAverage(nn.Module):
    """Gated running average: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.value = nn.Linear(dim, heads * head_dim, bias=False)
        # Half-lives from 32 tokens down to 2 at the start of training.
        rate = math.log(2) / torch.logspace(math.log2(32), 1, heads * head_dim, base=2.0)
        self.decay = nn.Linear(dim, heads * head_dim)
        with torch.no_grad():
            self.decay.bias.copy_(rate.logit())
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        value = self.value(x)
        log_decay = -self.decay(x).sigmoid()
        y = running_average(value, log_decay)
        return self.out(y)


class LongConvolution(nn.Module):
    """Gated long convolution: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(dim, 2 * heads * head_dim, bias=False)
        self.filter = LongFilter(heads * head_dim, 8)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        value, gate_out = self.inputs(x).chunk(2, dim=-1)
        y = self.filter(value)
        return self.out(gate_out * y)


class OddBranches(nn.Module):
    """Gated running average sharing heads with gated long convolution: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        left = max(1, heads // 2)
        right = max(1, heads - left)
        self.left = GatedAverage(dim, left, head_dim)
        self.right = LongConvolution(dim, right, head_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) + self.right(x)


class Mixer(nn.Module):
    """Gated short convolution, scaled skip; every second layer gated running average sharing heads with
    gated long convolution.

    (B, T, dim) -> (B, T, dim).
    """

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        mixer = EvenGatedConvolution if layer % 2 == 0 else OddBranches
        self.mixer = mixer(dim, heads, dim // heads)

    def forward(self, x: Tensor) -> Tensor:
        return self.mixer(x)
