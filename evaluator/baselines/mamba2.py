"""Mamba-2 (state space duality).

A selective state space model whose state decays by one number per head and step.

    h_t = exp(-d_t A) h_{t-1} + d_t B_t x_t^T;   o_t = h_t^T C_t + D x_t;   y = W_o norm(o * silu(W_z u))

with x, B, C = silu(W u), B and C (dim / 2 channels) shared by all heads, d_t = softplus(w_h . u_t + b) and A > 0 and
D learned per head. The same step size decides how much is written and how much is forgotten: it helps on text, where
the model learns what is worth keeping, and recalls as many pairs as its state has room for, but cannot replace one
value without fading all. Computed in chunks of 16 (SSD): inside a chunk as attention C B^T masked by the decays
between two steps, and between chunks by the same masked product over the states of the chunks. All decays are sums of
logarithms over a segment, at most 0, so nothing overflows.

Left out are the paper's own short convolution, since the network has one before every mixer, and its widening to
twice the channels, which pays for the MLP that the network has as well.

Source: Dao, Gu 2024, "Transformers are SSMs" (arXiv:2405.21060), sections 6 (the chunked form) and 7 (the block);
start values of A and d: its published settings, as in Gu, Dao 2023, "Mamba" (arXiv:2312.00752), section 3.6.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 16


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        state = dim // 2
        self.project = nn.Linear(dim, 2 * dim + 2 * state, bias=False)
        self.step = nn.Linear(dim, heads)
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(heads, 1, 1))
        self.norm = nn.RMSNorm(dim, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)
        steps = torch.empty(heads).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        with torch.no_grad():
            self.step.bias.copy_(steps.expm1().log())

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        gate, values, both = F.silu(self.project(x)).tensor_split([dim, 2 * dim], dim=-1)
        read, write = both.chunk(2, dim=-1)
        values = values.view(batch, length, self.heads, -1).transpose(1, 2)
        step = F.softplus(self.step(x)).transpose(1, 2)
        log_decay = -self.log_rate.exp()[:, None] * step
        mixed = state_space(read, write, step[..., None] * values, log_decay) + self.skip * values
        gated = self.norm(mixed.transpose(1, 2).reshape(batch, length, dim) * gate)
        y: Tensor = self.out(gated)
        return y


def state_space(read: Tensor, write: Tensor, values: Tensor, log_decay: Tensor) -> Tensor:
    """Return o_t = h_t^T read_t with h_t = exp(log_decay_t) h_{t-1} + write_t values_t^T.

    `read` and `write` are (B, T, N), `values` (B, H, T, P) and `log_decay` (B, H, T).
    """
    length = values.shape[-2]
    read, write, values = (in_chunks(part) for part in (read[:, None], write[:, None], values))
    log_decay = in_chunks(log_decay[..., None])[..., 0]
    between = segment_sums(log_decay).exp()
    inside = (read @ write.transpose(-1, -2) * between) @ values
    written = write.transpose(-1, -2) @ (between[..., -1, :, None] * values)
    # What chunk s wrote fades in the chunks between s and t, both left out: the padding shifts the segments by one.
    whole_chunks = F.pad(log_decay.sum(dim=-1), (1, 0))
    carry = segment_sums(whole_chunks).exp()[..., :-1, 1:]
    states = (carry @ written.flatten(-2)).view_as(written)
    since_start = log_decay.cumsum(dim=-1).exp()[..., None]
    mixed = inside + since_start * (read @ states)
    return mixed.flatten(2, 3)[:, :, :length]


def segment_sums(x: Tensor) -> Tensor:
    """Return the sums of x after s up to t, (..., T) -> (..., T, T), minus infinity above the diagonal.

    Each pair is summed by itself: a difference of two running sums would lose a small term beside a huge one.
    """
    length = x.shape[-1]
    later = x[..., None].expand(*x.shape, length).tril(-1)
    future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
    return later.cumsum(dim=-2).masked_fill(future, -math.inf)


def in_chunks(x: Tensor) -> Tensor:
    """Cut (B, H, T, d) into (B, H, T / 16, 16, d); the zeros appended to the last chunk write nothing."""
    batch, heads, length, channels = x.shape
    padded = F.pad(x, (0, 0, 0, -length % CHUNK))
    return padded.reshape(batch, heads, -1, CHUNK, channels)
