"""Gated DeltaNet and softmax attention, hybrid.

A corrected and decaying fast-weight memory, with softmax attention in every second layer.

    even layers:  S_t = a_t S_{t-1} (I - b_t k_t k_t^T) + b_t v_t k_t^T;   o_t = S_t q_t
                  y = W_o (silu(W_2 W_1 x) * norm(o))
    odd layers:   y = W_o softmax(causal(q k^T / sqrt(d))) v,  q and k normalised and rotated by their position

with q, k, v = silu(W x), q and k of unit length per head, b_t = sigmoid(w_h . x_t) and one decay per head
a_t = exp(-A_h softplus(u_h . x_t + c_h)). The even layers replace what they hold under a key and forget all of it at
once where the text turns; the odd ones look up exactly. It helps where both matter: text at the price of a
recurrent layer, and recall as soon as one attention layer is enough.

The recurrence is computed in chunks of 16. With g the running sum of log a since the chunk began and
D_ts = exp(g_t - g_s) for s <= t, the corrected values U of a chunk solve the unit lower triangular system

    (I + tril(diag(b) (K K^T * D), -1)) U = diag(b) (V - exp(g) K S^T)

once for V and once for exp(g) K, so that only the small state is carried from chunk to chunk. D is made from the
differences, which are never above 0, so no decay overflows; log a is kept above -16 (a factor of 1e-7), so that
the running sum stays exact enough after a step that forgets everything.

Start values are those of Mamba-2, which the paper takes over: A uniform in (1, 16), softplus(c) log-uniform in
(0.001, 0.1). Left out or changed: the paper's short convolution stands in the backbone already; its output gate is of
low rank here, to fit the budget; its hybrid attends in a window of 2,048 tokens, which is all of a row here.

Source: Yang, Kautz, Hatamizadeh 2024, "Gated Delta Networks: Improving Mamba2 with Delta Rule" (arXiv:2412.06464),
sections 3.1, 3.3 and 3.4; start values: Dao and Gu 2024, "Transformers are SSMs" (arXiv:2405.21060); rotary
positions: Su et al. 2021 (arXiv:2104.09864).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 16
LEAST_LOG_DECAY = -16.0


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        attends = layer % 2 == 1
        self.mix = Attention(dim, heads, max_len) if attends else GatedDelta(dim, heads)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mix(x)
        return y


class GatedDelta(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.gate = nn.Sequential(nn.Linear(dim, dim // 4, bias=False), nn.Linear(dim // 4, dim, bias=False))
        self.beta = nn.Linear(dim, heads, bias=False)
        self.step = nn.Linear(dim, heads)
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        self.norm = nn.RMSNorm(dim // heads, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)
        first_step = torch.empty(heads).uniform_(math.log(0.001), math.log(0.1)).exp()
        with torch.no_grad():
            self.step.bias.copy_(first_step.expm1().log())

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        projected = F.silu(self.project(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = projected.permute(2, 0, 3, 1, 4)
        beta = self.beta(x).sigmoid().transpose(1, 2)[..., None]
        log_decay = (-self.log_rate.exp() * F.softplus(self.step(x))).clamp(min=LEAST_LOG_DECAY)
        mixed = gated_delta_rule(unit(q), unit(k), v, beta, log_decay.transpose(1, 2)[..., None])
        normed = self.norm(mixed).transpose(1, 2).reshape(batch, length, dim)
        y: Tensor = self.out(F.silu(self.gate(x)) * normed)
        return y


def gated_delta_rule(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_decay: Tensor) -> Tensor:
    """Return o of the module's docstring; all (B, H, T, d), but beta and log_decay (B, H, T, 1)."""
    length = q.shape[-2]
    q, k, v, beta, log_decay = (in_chunks(part) for part in (q, k, v, beta, log_decay))
    since_start = log_decay.cumsum(dim=-2)
    between = (since_start - since_start.transpose(-1, -2)).clamp(max=0).exp()
    keys_t = k.transpose(-1, -2)
    overlap = (beta * (k @ keys_t) * between).tril(-1)
    sources = beta * torch.cat([v, k * since_start.exp()], dim=-1)
    both = torch.linalg.solve_triangular(overlap, sources, upper=False, unitriangular=True)
    new_values, seen_keys = both.split([v.shape[-1], k.shape[-1]], dim=-1)
    scores, queries = ((q @ keys_t) * between).tril(), q * since_start.exp()
    written_keys_t = keys_t * between[..., -1:, :]
    kept = since_start[..., -1:, :].exp()
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    outputs = []
    for chunk in range(q.shape[2]):
        values = new_values[:, :, chunk] - seen_keys[:, :, chunk] @ state
        outputs.append(queries[:, :, chunk] @ state + scores[:, :, chunk] @ values)
        state = kept[:, :, chunk] * state + written_keys_t[:, :, chunk] @ values
    return torch.cat(outputs, dim=2)[:, :, :length]


def unit(x: Tensor) -> Tensor:
    """Scale the last axis to length 1; several times faster on CPU than by `linalg.vector_norm`."""
    return x * (x.square().sum(dim=-1, keepdim=True) + 1e-12).rsqrt()


def in_chunks(x: Tensor) -> Tensor:
    """Cut (B, H, T, d) into (B, H, T / 16, 16, d); the zeros appended to the last chunk write nothing."""
    batch, heads, length, channels = x.shape
    padded = F.pad(x, (0, 0, 0, -length % CHUNK))
    return padded.reshape(batch, heads, -1, CHUNK, channels)


class Attention(nn.Module):
    cos: Tensor
    sin: Tensor

    def __init__(self, dim: int, heads: int, max_len: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.norm = nn.RMSNorm(dim // heads, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)
        frequencies = 10_000.0 ** (-torch.arange(0, dim // heads, 2) / (dim // heads))
        angles = torch.outer(torch.arange(max_len), frequencies)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v = self.project(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = self.rotate(self.norm(q)), self.rotate(self.norm(k))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return y

    def rotate(self, x: Tensor) -> Tensor:
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        left, right = x.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)
