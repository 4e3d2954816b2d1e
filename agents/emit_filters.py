"""Source texts of causal filters: each output is a weighted sum of earlier inputs of the same channel.

Sources: diagonal state spaces Gu et al. 2022 (arXiv:2206.11893); implicit filters Poli et al. 2023 (arXiv:2302.10866).
"""

from __future__ import annotations

RUNNING_AVERAGE = '''
def running_average(x: Tensor, log_decay: Tensor, chunk: int = 64) -> Tensor:
    """h_t = a_t h_{t-1} + (1 - a_t) x_t per channel, (B, T, D); log_decay is log a_t, within [-1, 0]."""
    x = -torch.expm1(log_decay) * x
    state = torch.zeros_like(x[:, :1])
    read = []
    for xc, log_ac in zip(x.split(chunk, dim=1), log_decay.split(chunk, dim=1), strict=True):
        total = log_ac.cumsum(dim=1)  # at least -chunk: exp(-total) fits into float32
        h = total.exp() * (state + (xc * (-total).exp()).cumsum(dim=1))
        read.append(h)
        state = h[:, -1:]
    return torch.cat(read, dim=1)
'''

SHORT_FILTER = '''
class ShortFilter(nn.Module):
    """Causal depthwise filter over the last `kernel` tokens: (B, T, C) -> (B, T, C)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.empty(kernel, channels).uniform_(-1, 1) * kernel**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        past = F.pad(x, (0, 0, len(self.taps) - 1, 0))
        return sum(tap * past[:, i : i + x.shape[1]] for i, tap in enumerate(self.taps))
'''

LONG_FILTER = '''
class LongFilter(nn.Module):
    """Causal filter over the whole past, (B, T, C) -> (B, T, C): per channel a sum of decaying exponentials.

    Half-lives run from 1 to 2^(modes - 1) tokens. A Toeplitz matrix inside a chunk, a state per mode between.
    """

    def __init__(self, channels: int, modes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, modes) / modes)
        self.here = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, chunk: int = 64) -> Tensor:
        mode = torch.arange(self.weight.shape[1], device=x.device)
        rate = (math.log(2) / 2.0**mode).to(x)
        step = torch.arange(min(chunk, x.shape[1]), device=x.device)
        left = (-rate[:, None] * (step + 1)).exp()
        distance = step[:, None] - step
        inside = (-rate[:, None, None] * distance.clamp(min=0)).exp().tril()
        toeplitz = torch.einsum("cm,mts->cts", self.weight * rate, inside)
        state = x.new_zeros(x.shape[0], len(mode), x.shape[2])
        read = []
        for part in x.split(chunk, dim=1):
            size = part.shape[1]
            near = (toeplitz[:, :size, :size] @ part.permute(2, 1, 0)).permute(2, 1, 0)
            far = torch.einsum("mt,cm,bmc->btc", left[:, :size], self.weight * rate, state)
            read.append(near + far)
            state = left[:, size - 1, None] * state + inside[:, size - 1, :size] @ part
        return torch.cat(read, dim=1) + self.here * x
'''

OSCILLATING_FILTER = '''
class OscillatingFilter(nn.Module):
    """Causal filter over the whole past, (B, T, C) -> (B, T, C): per channel a sum of decaying oscillations.

    A diagonal state space: h(t) = 2 Re sum_n c_n (exp(d p_n) - 1) / p_n exp(d p_n t), with a step d per
    channel and poles p_n = -exp(r_n) + i w_n. A Toeplitz matrix inside a chunk, a state per pole between.
    """

    def __init__(self, channels: int, pairs: int) -> None:
        super().__init__()
        self.log_step = nn.Parameter(torch.empty(channels, 1).uniform_(math.log(1e-3), math.log(1e-1)))
        self.log_rate = nn.Parameter(torch.full((channels, pairs), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(pairs).repeat(channels, 1))
        self.read = nn.Parameter(0.5**0.5 * torch.randn(channels, pairs, 2))
        self.here = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor, chunk: int = 16) -> Tensor:
        batch, length, channels = x.shape
        poles = torch.complex(-self.log_rate.exp(), self.frequency)
        turns = self.log_step.exp() * poles
        gains = 2 * torch.view_as_complex(self.read) * turns.expm1() / poles
        powers = (turns[..., None] * torch.arange(chunk + 1, device=x.device)).exp()
        reads = gains[..., None] * powers
        rows = F.pad(reads[..., :-1].real.sum(dim=1), (chunk - 1, 0)).unfold(-1, chunk, 1)
        parts = F.pad(x, (0, 0, 0, -length % chunk)).view(batch, -1, chunk, channels).permute(3, 2, 1, 0)
        flat = parts.flatten(2)  # (C, chunk, chunks * B)
        near = rows.flip(-1) @ flat
        kept = powers[..., :-1].flip(-1)
        written = torch.complex(*(torch.cat([kept.real, kept.imag], dim=1) @ flat).chunk(2, dim=1))
        state, states = torch.zeros_like(written[..., :batch]), []
        for addend in written.split(batch, dim=-1):
            states.append(state)
            state = powers[..., -1:] * state + addend
        before, read = torch.cat(states, dim=-1), reads[..., 1:].mT
        far = torch.cat([read.real, -read.imag], dim=2) @ torch.cat([before.real, before.imag], dim=1)
        y = (near + far).view_as(parts).permute(3, 2, 1, 0).reshape(batch, -1, channels)
        return y[:, :length] + self.here * x
'''

CAUSAL_CONVOLUTION = '''
def causal_convolution(x: Tensor, taps: Tensor, block: int = 64) -> Tensor:
    """y_t = sum over s <= t of taps_{t-s} x_s per channel, for x (B, T, C) and taps (C, T), in O(T log^2 T).

    A Toeplitz matrix inside a block; then what each left one of two neighbours adds to the right one, by an
    FFT of the left one alone. One FFT over the row would let rounding errors reach back in time.
    """
    batch, length, channels = x.shape
    size = block
    while size < length:
        size *= 2
    x, taps = F.pad(x.permute(2, 0, 1), (0, size - length)), F.pad(taps, (0, size - length))
    rows = F.pad(taps[:, :block], (block - 1, 0)).unfold(-1, block, 1).flip(-1)
    y = (x.reshape(channels, -1, block) @ rows.mT).view(x.shape)
    while block < size:
        left = x.reshape(channels, -1, 2, block)[:, :, 0]
        spectrum = torch.fft.rfft(left, n=2 * block) * torch.fft.rfft(taps[:, None, : 2 * block])
        right = torch.fft.irfft(spectrum, n=2 * block)[..., block:]
        y = y + F.pad(right, (block, 0)).view(x.shape)
        block *= 2
    return y[..., :length].permute(1, 2, 0)
'''

IMPLICIT_FILTER = '''
class ImplicitFilter(nn.Module):
    """Causal filter as long as the row, (B, T, C) -> (B, T, C), under a decaying window.

    The taps are no parameters of their own: a small network with sines computes them from the position.
    """

    def __init__(self, channels: int, max_len: int, bands: int) -> None:
        super().__init__()
        hidden = max(1, channels // 4)
        self.enter = nn.Linear(2 * bands + 1, hidden)
        self.inner = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2))
        self.leave = nn.Linear(hidden, channels, bias=False)
        self.here = nn.Parameter(torch.ones(channels))
        # In float64 until they are stored: the sines of the network magnify rounding errors.
        time = torch.arange(max_len, dtype=torch.float64)[:, None] / max_len
        angle = 2 * math.pi * time * torch.arange(1, bands + 1)
        features = torch.cat([time, angle.sin(), angle.cos()], dim=1)
        # The windows fall to 1% within 0.3 to 1.5 rows, channel by channel.
        window = 0.01 ** (time.T / torch.linspace(0.3, 1.5, channels, dtype=torch.float64)[:, None]) + 0.01
        window = window / window.norm(dim=1, keepdim=True)
        self.register_buffer("features", features.to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("window", window.to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.features[: x.shape[1]]
        for layer in (self.enter, *self.inner):
            hidden = torch.sin(4.0 * layer(hidden))
        taps = self.leave(hidden).T * self.window[:, : x.shape[1]]
        return causal_convolution(x, taps) + self.here * x
'''
