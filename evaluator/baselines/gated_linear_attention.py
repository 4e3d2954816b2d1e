"""Gated linear attention (GLA).

Linear attention with a decay per channel that the input decides.

    a_t = sigmoid(W_2 W_1 x_t + b)^(1/16)      in (0, 1)^d, per key channel
    S_t = diag(a_t) S_{t-1} + k_t v_t^T;   o_t = q_t^T S_t;   y = W_o (silu(W_g x) * norm(o))

The model chooses what to forget and when, channel by channel, which helps with text (word and line ends reset
the state) where a fixed decay cannot. Computed in chunks of 16: inside a chunk as attention between q exp(c)
and k exp(-c), where c is the running sum of log a since the chunk began, and between chunks through the state.
Log a is kept above -4 per step (a factor of 0.02), so exp(-c) stays below e^64 and float32 is safe.

Source: Yang et al. 2023, "Gated Linear Attention Transformers" (arXiv:2312.06635), section 4. Other than
there: keys are as wide as values instead of half as wide, and the norm is RMSNorm instead of LayerNorm. Scores are
divided by sqrt(dim / heads), which the norm takes out again.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 16
LEAST_LOG_DECAY = -4.0


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 4 * dim, bias=False)
        self.decay = nn.Sequential(nn.Linear(dim, dim // 4, bias=False), nn.Linear(dim // 4, dim))
        self.norm = nn.RMSNorm(dim // heads, eps=1e-6)
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, dim = x.shape
        q, k, v, gate = self.project(x).view(batch, length, 4, self.heads, -1).permute(2, 0, 3, 1, 4)
        log_decay = (F.logsigmoid(self.decay(x)) / 16).clamp(min=LEAST_LOG_DECAY)
        log_decay = log_decay.view(batch, length, self.heads, -1).transpose(1, 2)
        mixed = gated_linear_attention(q * q.shape[-1] ** -0.5, k, v, log_decay)
        gated = F.silu(gate) * self.norm(mixed)
        y: Tensor = self.out(gated.transpose(1, 2).reshape(batch, length, dim))
        return y


def gated_linear_attention(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor) -> Tensor:
    """Return the outputs o of the recurrence in the module's docstring; all of shape (B, H, T, d)."""
    length = q.shape[-2]
    q, k, v, log_decay = (in_chunks(part) for part in (q, k, v, log_decay))
    since_start = log_decay.cumsum(dim=-2)
    to_end = since_start[..., -1:, :]
    q_decayed = q * since_start.exp()
    inside = (q_decayed @ (k * (-since_start).exp()).transpose(-1, -2)).tril() @ v
    written = (k * (to_end - since_start).exp()).transpose(-1, -2) @ v
    kept = to_end.exp().transpose(-1, -2)
    state = torch.zeros_like(written[:, :, 0])
    states = []
    for chunk in range(written.shape[2]):
        states.append(state)
        state = kept[:, :, chunk] * state + written[:, :, chunk]
    mixed = inside + q_decayed @ torch.stack(states, dim=2)
    return mixed.flatten(2, 3)[:, :, :length]


def in_chunks(x: Tensor) -> Tensor:
    """Cut (B, H, T, d) into (B, H, T / 16, 16, d); the zeros appended to the last chunk write nothing."""
    batch, heads, length, channels = x.shape
    padded = F.pad(x, (0, 0, 0, -length % CHUNK))
    return padded.reshape(batch, heads, -1, CHUNK, channels)
