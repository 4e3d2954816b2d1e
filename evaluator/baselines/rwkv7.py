"""RWKV-7 (generalised delta rule).

A fast-weight memory with a decay, a learning rate and a key to remove for every channel, all chosen by the input.

    S_t = S_{t-1} (diag(w_t) - z_t (a_t * z_t)^T) + v_t k_t^T;   o_t = S_t r_t + (r_t . (p * k_t)) v_t;
    y = W_o (g_t * norm(o_t))

Each of r, k, v, w, a and g reads its own mixture of the token and the one before, x_t + m * (x_{t-1} - x_t). r, k0
and v are linear in it; w, a and g go through a narrow middle (low rank): w = exp(-sigmoid(.) / sqrt(e)) from 0.545 to
1, a = sigmoid(.) in (0, 1); z is k0 * xi of unit length per head, and k = k0 * (1 + alpha (a - 1)). What is removed
need not be what is written, and the transition is no longer symmetric: it helps with recall as the delta rule does,
and with following states, which diagonal decays cannot. Computed in chunks of 16: with W_t the product of the decays
since the chunk began, the corrections u_t = -S_{t-1} z_t solve the unit lower triangular system

    (I + tril(Z Y^T, -1)) U = -(Z S^T + tril(Z K^T, -1) V),   Z = W_{t-1} z_t, Y = a_t z_t / W_t, K = k_t / W_t

(rows over t), once for the state and once for V, so that only the small state is carried from chunk to chunk. Since w
stays above 0.545, 1 / W stays below e^9.8 and float32 is safe.

Left out are the mixing of each layer's values with the first layer's, which a mixer does not see, and the paper's
channel mixing and outer norms, which the network has. The second half of each low-rank map begins small and not as
zero. The mixtures begin with more of the past in earlier channels.

Source: Peng et al. 2025, "RWKV-7 'Goose' with Expressive Dynamic State Evolution" (arXiv:2503.14456), section 4; the
chunked form as for DeltaNet: Yang et al. 2024 (arXiv:2406.06484), section 3.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 16


class LowRank(nn.Module):
    """`bias + W_2 f(W_1 x)`, (B, T, D) -> (B, T, D), with f the identity where none is given."""

    def __init__(self, dim: int, rank: int, inner: nn.Module, bias: Tensor | None) -> None:
        super().__init__()
        self.down = nn.Linear(dim, rank, bias=False)
        self.inner = inner
        self.up = nn.Linear(rank, dim, bias=bias is not None)
        nn.init.normal_(self.up.weight, std=0.1 * rank**-0.5)
        if bias is not None:
            self.up.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.up(self.inner(self.down(x)))
        return y


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        powers = torch.tensor([0.2, 0.7, 0.7, 0.9, 0.9, 0.2]) * (1 - layer / layers)
        self.shift = nn.Parameter(1 - (torch.arange(dim) / dim) ** powers[:, None])
        self.receive, self.key, self.value, self.out = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.decay = LowRank(dim, dim // 8, nn.Tanh(), torch.linspace(-6.5, -1.5, dim))
        self.rate = LowRank(dim, dim // 8, nn.Identity(), torch.zeros(dim))
        self.gate = LowRank(dim, dim // 4, nn.Sigmoid(), None)
        self.remove = nn.Parameter(torch.full((dim,), 0.85))
        self.replace = nn.Parameter(torch.ones(dim))
        self.bonus = nn.Parameter(torch.zeros(dim))
        self.norm = nn.GroupNorm(heads, dim, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        change = F.pad(x, (0, 0, 1, -1)) - x
        for_r, for_k, for_v, for_w, for_a, for_g = (x + share * change for share in self.shift.unbind())
        keys, rate = self.key(for_k), self.rate(for_a).sigmoid()
        written = keys * (1 + self.replace * (rate - 1))
        log_decay = -math.exp(-0.5) * self.decay(for_w).sigmoid()
        r, k, v, log_w, a, z = (
            part.view(batch, length, self.heads, -1).transpose(1, 2)
            for part in (self.receive(for_r), written, self.value(for_v), log_decay, rate, keys * self.remove)
        )
        mixed = generalised_delta_rule(r, k, v, log_w, unit(z), a)
        normed = self.norm(mixed.transpose(1, 2).reshape(batch * length, dim)).view(batch, length, dim)
        direct = (r * k * self.bonus.view(self.heads, 1, -1)).sum(dim=-1, keepdim=True) * v
        joined = normed + direct.transpose(1, 2).reshape(batch, length, dim)
        y: Tensor = self.out(joined * self.gate(for_g))
        return y


def generalised_delta_rule(r: Tensor, k: Tensor, v: Tensor, log_w: Tensor, z: Tensor, a: Tensor) -> Tensor:
    """Return S_t r_t of the recurrence in the module's docstring; all of shape (B, H, T, d)."""
    length = r.shape[-2]
    r, k, v, log_w, z, a = (in_chunks(part) for part in (r, k, v, log_w, z, a))
    since_start = log_w.cumsum(dim=-2)
    grown = (-since_start).exp()
    r, asked = r * since_start.exp(), z * (since_start - log_w).exp()
    sources = torch.cat([a * z * grown, k * grown], dim=-2).transpose(-1, -2)
    z_y, z_k = (asked @ sources).chunk(2, dim=-1)
    wanted = torch.cat([z_k.tril(-1) @ v, asked], dim=-1)
    both = -torch.linalg.solve_triangular(z_y.tril(-1), wanted, upper=False, unitriangular=True)
    from_values, from_state = both.split([v.shape[-1], k.shape[-1]], dim=-1)
    r_y, r_k = (r @ sources).chunk(2, dim=-1)
    scores = torch.cat([r_y.tril(), r_k.tril()], dim=-1)
    kept = since_start[..., -1:, :].exp().transpose(-1, -2)
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    outputs = []
    for chunk in range(r.shape[2]):
        corrections = from_values[:, :, chunk] + from_state[:, :, chunk] @ state
        addends = torch.cat([corrections, v[:, :, chunk]], dim=-2)
        outputs.append(r[:, :, chunk] @ state + scores[:, :, chunk] @ addends)
        state = kept[:, :, chunk] * (state + sources[:, :, chunk] @ addends)
    return torch.cat(outputs, dim=2)[:, :, :length]


def unit(x: Tensor) -> Tensor:
    """Scale the last axis to length 1; several times faster on CPU than by `linalg.vector_norm`."""
    return x * (x.square().sum(dim=-1, keepdim=True) + 1e-12).rsqrt()


def in_chunks(x: Tensor) -> Tensor:
    """Cut (B, H, T, d) into (B, H, T / 16, 16, d); the zeros appended to the last chunk write nothing."""
    batch, heads, length, channels = x.shape
    padded = F.pad(x, (0, 0, 0, -length % CHUNK))
    return padded.reshape(batch, heads, -1, CHUNK, channels)
