"""DeltaNet (delta rule).

A fast-weight memory that corrects itself instead of only adding.

    S_t = S_{t-1} + beta_t k_t (v_t - S_{t-1}^T k_t)^T;   o_t = S_t^T q_t;   y = W_o norm(o)

with q, k, v = silu(W x), q and k of unit length per head, and beta_t = sigmoid(w_h . x_t + b_h). Before writing, the
memory is asked what it holds under the key and only the difference is written, so a new value replaces the old one
and keys interfere less: it helps with recall of many pairs at a state of fixed size. Computed in chunks
of 16 (WY form): the corrected values U of a chunk solve the unit lower triangular system

    (I + tril(diag(beta) K K^T, -1)) U = diag(beta) (V - K S)

once for V and once for K, so that only the small state is carried from chunk to chunk.

Source: Schlag et al. 2021 (arXiv:2102.11174); the chunked form: Yang et al. 2024, "Parallelizing Linear
Transformers with the Delta Rule over Sequence Length" (arXiv:2406.06484), section 3.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 16


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.beta = nn.Linear(dim, heads)
        self.norm = nn.RMSNorm(dim // heads, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        projected = F.silu(self.project(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = projected.permute(2, 0, 3, 1, 4)
        q, k = unit(q), unit(k)
        beta = self.beta(x).sigmoid().transpose(1, 2)[..., None]
        mixed = self.norm(delta_rule(q, k, v, beta))
        y: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, dim))
        return y


def delta_rule(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    """Return o of the recurrence in the module's docstring; all (B, H, T, d), but beta (B, H, T, 1)."""
    length = q.shape[-2]
    q, k, v, beta = (in_chunks(part) for part in (q, k, v, beta))
    keys_t = k.transpose(-1, -2)
    overlap = (beta * (k @ keys_t)).tril(-1)
    both = torch.linalg.solve_triangular(overlap, beta * torch.cat([v, k], dim=-1), upper=False, unitriangular=True)
    new_values, seen_keys = both.split([v.shape[-1], k.shape[-1]], dim=-1)
    scores = (q @ keys_t).tril()
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    outputs = []
    for chunk in range(q.shape[2]):
        values = new_values[:, :, chunk] - seen_keys[:, :, chunk] @ state
        outputs.append(q[:, :, chunk] @ state + scores[:, :, chunk] @ values)
        state = state + keys_t[:, :, chunk] @ values
    return torch.cat(outputs, dim=2)[:, :, :length]


def unit(x: Tensor) -> Tensor:
    """Scale the last axis to length 1; several times faster on CPU than by `linalg.vector_norm`."""
    return x * (x.square().sum(dim=-1, keepdim=True) + 1e-12).rsqrt()


def in_chunks(x: Tensor) -> Tensor:
    """Cut (B, H, T, d) into (B, H, T / 16, 16, d); the zeros appended to the last chunk write nothing."""
    batch, heads, length, channels = x.shape
    padded = F.pad(x, (0, 0, 0, -length % CHUNK))
    return padded.reshape(batch, heads, -1, CHUNK, channels)
