"""Causal token-mixing MLP (MLP-Mixer).

A two-layer perceptron along the time axis, with lower triangular weights, the same for all channels.

    y_{t,c} = b_t + sum_{s <= t} M_{ts} gelu(a_s + sum_{r <= s} N_{sr} x_{r,c})

Every pair of positions has weights of its own, and no weight looks at what stands there: it learns patterns of
absolute position, which text hardly has, and sees each offset anew at each position. It shows what a fixed mixing
of everything is worth beside one that depends on content or is the same everywhere, and must fail at recall.

The paper's hidden units see all tokens. Here one hidden unit belongs to each position, so that both matrices can be
triangular; only their lower halves are stored, n (n + 1) parameters for rows of at most n, and shorter rows use the
leading part of both. Weights begin with variance 1 / (t + 1) in row t. The paper's channel-mixing MLP, norms and
residuals stand in the backbone already.

Source: Tolstikhin et al. 2021, "MLP-Mixer" (arXiv:2105.01601), section 2, equation 1; there without a causal order.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.enter = Causal(max_len)
        self.leave = Causal(max_len)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.leave(F.gelu(self.enter(x)))
        return y


class Causal(nn.Module):
    """A linear map along the time axis, (B, T, D) -> (B, T, D): no output sees a later input."""

    row: Tensor
    column: Tensor

    def __init__(self, max_len: int) -> None:
        super().__init__()
        row, column = torch.tril_indices(max_len, max_len)
        self.weight = nn.Parameter(torch.randn(len(row)) * (row + 1) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(max_len, 1))
        self.register_buffer("row", row, persistent=False)
        self.register_buffer("column", column, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        used = length * (length + 1) // 2
        square = self.weight.new_zeros(length, length)
        square = square.index_put((self.row[:used], self.column[:used]), self.weight[:used])
        return square @ x + self.bias[:length]
