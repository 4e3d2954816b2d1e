"""Gated DeltaNet (delta rule with decay).

A fast-weight memory that corrects itself under a key, and can also be cleared as a whole.

    S_t = a_t S_{t-1} (I - b_t k_t k_t^T) + b_t v_t k_t^T;   o_t = S_t q_t;   y = W_o (norm(o) * silu(W_g x))

with q, k, v = silu(W x), q and k of unit length per head, b_t = sigmoid(w_b . x_t), and a decay per head that the
input decides, a_t = exp(-exp(l) softplus(w_a . x_t + c)). The delta rule replaces single associations, the decay
makes room for many at once: it helps where DeltaNet does, with recall of many pairs, and on text as well, where what
has ended must be forgotten quickly. Computed in chunks of 16 (WY form with decays): with G_ts the product of the
decays after s up to t, and g_t of all up to t since the chunk began, the corrected values U solve the unit lower
triangular system

    (I + tril(diag(b) (G * K K^T), -1)) U = diag(b) (V - diag(g) K S^T)

once for V and once for K, so that only the small state is carried from chunk to chunk. Every factor is a product of
decays, never a quotient, so nothing overflows. Left out are the paper's own short convolutions of q, k and v: the
network has one before every mixer.

Source: Yang, Kautz, Hatamizadeh 2024, "Gated Delta Networks: Improving Mamba2 with Delta Rule" (arXiv:2412.06464),
section 3; the decay and its start values: Dao, Gu 2024 (arXiv:2405.21060).
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
        self.project = nn.Linear(dim, 4 * dim, bias=False)
        self.beta = nn.Linear(dim, heads, bias=False)
        self.step = nn.Linear(dim, heads)
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.norm = nn.RMSNorm(dim // heads, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)
        steps = torch.empty(heads).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        with torch.no_grad():
            self.step.bias.copy_(steps.expm1().log())

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v, gate = F.silu(self.project(x)).view(batch, length, 4, self.heads, -1).permute(2, 0, 3, 1, 4)
        beta = self.beta(x).sigmoid().transpose(1, 2)[..., None]
        log_decay = (-self.log_rate.exp() * F.softplus(self.step(x))).transpose(1, 2)[..., None]
        mixed = self.norm(gated_delta_rule(unit(q), unit(k), v, beta, log_decay)) * gate
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return y


def gated_delta_rule(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_decay: Tensor) -> Tensor:
    """Return o of the recurrence in the module's docstring; (B, H, T, d), but the last two (B, H, T, 1)."""
    length = q.shape[-2]
    q, k, v, beta, log_decay = (in_chunks(part) for part in (q, k, v, beta, log_decay))
    between = decay_between(log_decay[..., 0])
    since_start = log_decay.cumsum(dim=-2).exp()
    keys_t = k.transpose(-1, -2)
    overlap = (beta * between * (k @ keys_t)).tril(-1)
    wanted = beta * torch.cat([v, since_start * k], dim=-1)
    both = torch.linalg.solve_triangular(overlap, wanted, upper=False, unitriangular=True)
    new_values, seen_keys = both.split([v.shape[-1], k.shape[-1]], dim=-1)
    scores = between * (q @ keys_t)
    q_decayed, kept_keys_t = since_start * q, between[..., -1:, :] * keys_t
    kept = since_start[..., -1:, :]
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    outputs = []
    for chunk in range(q.shape[2]):
        values = new_values[:, :, chunk] - seen_keys[:, :, chunk] @ state
        outputs.append(q_decayed[:, :, chunk] @ state + scores[:, :, chunk] @ values)
        state = kept[:, :, chunk] * state + kept_keys_t[:, :, chunk] @ values
    return torch.cat(outputs, dim=2)[:, :, :length]


def decay_between(log_decay: Tensor) -> Tensor:
    """Return the products of the decays after s up to t, (..., T) -> (..., T, T), zero above the diagonal.

    The logarithms are summed for each pair by itself: a difference of two running sums would lose a small decay that
    stands beside a huge one.
    """
    length = log_decay.shape[-1]
    later = log_decay[..., None].expand(*log_decay.shape, length).tril(-1)
    future = torch.ones(length, length, dtype=torch.bool, device=log_decay.device).triu(1)
    return later.cumsum(dim=-2).masked_fill(future, -math.inf).exp()


def unit(x: Tensor) -> Tensor:
    """Scale the last axis to length 1; several times faster on CPU than by `linalg.vector_norm`."""
    return x * (x.square().sum(dim=-1, keepdim=True) + 1e-12).rsqrt()


def in_chunks(x: Tensor) -> Tensor:
    """Cut (B, H, T, d) into (B, H, T / 16, 16, d); the zeros appended to the last chunk write nothing."""
    batch, heads, length, channels = x.shape
    padded = F.pad(x, (0, 0, 0, -length % CHUNK))
    return padded.reshape(batch, heads, -1, CHUNK, channels)
