"""S4D (diagonal state space model).

A long convolution per channel whose kernel is a sum of decaying oscillations.

    h'(s) = A h(s) + u(s);   o = 2 Re(C h) + D u;   y = GLU(W_o gelu(o))

with dim / 2 complex states per channel (in conjugate pairs, of which one is kept), A = -exp(r) + i w begun as
S4D-Lin, -1/2 + i pi n, and C, D and a step size d per channel learned. Zero-order hold makes steps of it:

    h_t = exp(d A) h_{t-1} + B u_t,   B = (exp(d A) - 1) / A,   hence   o = K * u + D u,   K_l = 2 Re(C B exp(d A l))

Nothing of it depends on the input: it helps with smooth summaries of long spans at little cost, and must fail at
recall, since no token can choose what is kept. Computed in chunks of 16: inside a chunk as the convolution with K's
first 16 taps, and between chunks through the states. This equals the paper's convolution by FFT, but is causal to the
last bit, where an FFT's rounding lets every output touch every input; the powers of exp(d A) never exceed 1.

Left out is the paper's smaller learning rate for A and d: all parameters of a network train by one recipe.

Source: Gu, Gupta, Goel, Re 2022, "On the Parameterization and Initialization of Diagonal State Space Models"
(arXiv:2206.11893), sections 3 and 4; the output by GELU and GLU: its experiments.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 16


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        pairs = dim // 4
        steps = torch.empty(dim, 1).uniform_(math.log(1e-3), math.log(1e-1))
        self.log_step = nn.Parameter(steps)
        self.log_rate = nn.Parameter(torch.full((dim, pairs), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(pairs).repeat(dim, 1))
        self.read = nn.Parameter(0.5**0.5 * torch.randn(dim, pairs, 2))
        self.skip = nn.Parameter(torch.randn(dim))
        self.out = nn.Linear(dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        poles = torch.complex(-self.log_rate.exp(), self.frequency)
        turns = self.log_step.exp() * poles
        gains = 2 * torch.view_as_complex(self.read) * turns.expm1() / poles
        mixed = F.gelu(long_convolution(x, turns, gains) + self.skip * x)
        y: Tensor = F.glu(self.out(mixed), dim=-1)
        return y


def long_convolution(u: Tensor, turns: Tensor, gains: Tensor) -> Tensor:
    """Return `y[t] = sum_l K[l] u[t - l]` with `K[l] = Re sum_n gains_n exp(turns_n l)` per channel.

    `u` is (B, T, D); `turns` and `gains` are complex, (D, N).
    """
    batch, length, channels = u.shape
    chunks = F.pad(u, (0, 0, 0, -length % CHUNK)).view(batch, -1, CHUNK, channels).permute(3, 2, 1, 0)
    flat = chunks.flatten(2)
    powers = (turns[..., None] * torch.arange(CHUNK + 1, device=u.device)).exp()
    read = gains[..., None] * powers
    inside = toeplitz(read[..., :CHUNK].real.sum(dim=1)) @ flat
    written = as_real(powers[..., :CHUNK].flip(-1)) @ flat
    states = states_before(powers[..., CHUNK], written.view(channels, 2, -1, *chunks.shape[2:]))
    y = inside + as_real(read[..., 1:].conj()).transpose(1, 2) @ states.view(channels, -1, flat.shape[-1])
    return y.view_as(chunks).permute(3, 2, 1, 0).reshape(batch, -1, channels)[:, :length]


def states_before(kept: Tensor, written: Tensor) -> Tensor:
    """Return what the state is before each chunk, (D, 2, N, chunks, B), real and imaginary parts apart."""
    addends = torch.complex(written[:, 0], written[:, 1]).unbind(dim=2)
    state = torch.zeros_like(addends[0])
    states = []
    for addend in addends:
        states.append(state)
        state = kept[..., None] * state + addend
    stacked = torch.stack(states, dim=2)
    return torch.stack([stacked.real, stacked.imag], dim=1)


def as_real(x: Tensor) -> Tensor:
    """Write real over imaginary parts, (D, N, L) -> (D, 2 N, L)."""
    return torch.cat([x.real, x.imag], dim=1)


def toeplitz(kernel: Tensor) -> Tensor:
    """Return the lower triangular matrices of a causal convolution, (D, L) -> (D, L, L)."""
    length = kernel.shape[-1]
    rows = F.pad(kernel, (length - 1, 0)).unfold(-1, length, 1)
    return rows.flip(-1)
