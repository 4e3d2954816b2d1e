"""N-gram heads.

Each head attends to what followed earlier occurrences of the last n tokens, and to nothing where there are none.

    same_{ts} = exp(tau (k_t . k_s - 1)),   k = unit(W_k x);   m_{ts} = prod_{i < n} same_{t-i, s-1-i}
    A_{ts} = m_{ts} / (exp(-tau delta) + sum_{n <= r <= t} m_{tr})  for n <= s <= t
    y_t = W_1 x_t + W_2 sum_s A_{ts} W_v x_s

with n = 1, 2, 3, 1, ... from head to head, and one tau > 0 and delta per head. Position s is looked at if the n
positions that end at s - 1 resemble the n that end at t. The paper compares tokens, exactly, and averages over all
matches. A mixer sees no tokens, so the match is soft here, which is the deviation: tau says how sharp it is, delta
how much unlikeness an n-gram may have in all before it counts as no match. As tau grows, A becomes the mean over
the matches for 0 < delta < 1 and keys that are equal or orthogonal, or 0 where there are none, as in the paper.

An induction head in a single layer, where softmax attention has to find one in two: it helps with recall and with
repeated phrases, which are continued as they went on before; where nothing repeats the heads are silent. Computed as
attention whose queries and keys are the last three k side by side (zeros beyond n); position 0, which nothing
precedes, stands for "no match", with a value of zero.

Source: Akyurek, Wang, Kim, Andreas 2024, "In-Context Language Learning: Architectures and Algorithms"
(arXiv:2401.12973), the section on n-gram heads.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LONGEST = 3


class Mixer(nn.Module):
    order: Tensor
    in_order: Tensor
    hidden: Tensor

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.key_value = nn.Linear(dim, 2 * dim, bias=False)
        self.log_sharpness = nn.Parameter(torch.full((heads,), math.log(8.0)))
        self.unlikeness = nn.Parameter(torch.full((heads,), 0.5))
        self.own = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        order = 1 + torch.arange(heads) % LONGEST
        query, key = torch.arange(max_len)[:, None], torch.arange(max_len)
        outside = (key > query) | ((key > 0) & (key < order[:, None, None]))
        self.register_buffer("order", order.float(), persistent=False)
        self.register_buffer("in_order", torch.arange(LONGEST)[:, None] < order[:, None, None, None], persistent=False)
        self.register_buffer("hidden", outside, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        k, v = self.key_value(x).view(batch, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        grams = self.grams(k * (k.square().sum(dim=-1, keepdim=True) + 1e-12).rsqrt())
        sharpness = self.log_sharpness.exp()
        before = F.pad(grams, (0, 0, 1, 0))[:, :, :-1]
        no_match = F.pad((sharpness * (self.order - self.unlikeness))[:, None, None], (0, length - 1))
        logits = (sharpness[:, None, None] * grams) @ before.transpose(-1, -2) + no_match
        weights = logits.masked_fill(self.hidden[:, :length, :length], -torch.inf).softmax(dim=-1)
        found = weights @ F.pad(v[:, :, 1:], (0, 0, 1, 0))
        y: Tensor = self.own(x) + self.out(found.transpose(1, 2).reshape(batch, length, dim))
        return y

    def grams(self, k: Tensor) -> Tensor:
        """Put the last n of k (B, H, T, d) side by side, (B, H, T, 3 d): zeros beyond n and before the start."""
        length, padded = k.shape[2], F.pad(k, (0, 0, LONGEST - 1, 0))
        last = torch.stack([padded[:, :, LONGEST - 1 - i :][:, :, :length] for i in range(LONGEST)], dim=-2)
        return (last * self.in_order).flatten(-2)
