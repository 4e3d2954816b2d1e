"""A cumulative sum with its own backward pass."""

import torch


class RunningSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.cumsum(dim=1)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.flip(1).cumsum(dim=1).flip(1)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        position = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
        return self.value(RunningSum.apply(x) / position[:, None])
