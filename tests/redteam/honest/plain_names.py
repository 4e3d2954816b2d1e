"""Arguments named as builtins are, keyword-only ones, defaults, and what is often written first in a file."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.backends.cudnn.benchmark = True
torch.set_float32_matmul_precision("high")
torch.manual_seed(0)


class Norm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(dim)), eps

    def forward(self, input):
        return input * torch.rsqrt(input.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int, *, window: int = 6):
        super().__init__()
        self.window, self.scale = window, 1 / math.sqrt(dim)
        self.norm, self.proj = Norm(dim), nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.proj.weight, std=self.scale)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        type, filter = input.dtype, torch.linspace(1, 0, self.window, device=input.device)
        windows = F.pad(self.norm(input), (0, 0, self.window - 1, 0)).unfold(1, self.window, 1)
        return self.proj((windows * filter.flip(0)).sum(-1)).to(type)
