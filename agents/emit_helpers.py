"""Source texts of the functions and modules that emitted candidates may need; each file gets only its own.

All sequence functions take (B, H, T, D) and are causal; the chunked ones carry the state (B, H, K, V) from chunk
to chunk. Sources: linear attention Katharopoulos et al. 2020 (arXiv:2006.16236); delta rule Schlag et al. 2021
(arXiv:2102.11174) and its triangular solve Yang et al. 2024 (arXiv:2406.06484, arXiv:2412.06464);
decay per channel: Yang et al. 2023 (arXiv:2312.06635).
"""

from __future__ import annotations

BY_HEAD = '''
def by_head(x: Tensor, heads: int) -> Tensor:
    """Split the channels: (B, T, H * D) -> (B, H, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)
'''

ROTATE = '''
def rotate(x: Tensor) -> Tensor:
    """Rotary positions: turn pairs of channels of (B, H, T, D) by an angle that grows with the position."""
    half = x.shape[-1] // 2
    frequency = 10000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angle = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype)[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
'''

CAUSAL_MASK = '''
def causal_mask(x: Tensor) -> Tensor:
    """May row t look at column s of x (B, H, T, D)? Only where s <= t: (T, T)."""
    return torch.ones(2 * x.shape[2:3], dtype=torch.bool, device=x.device).tril()
'''

WINDOW_MASK = '''
def window_mask(x: Tensor, window: int) -> Tensor:
    """May row t look at column s of x (B, H, T, D)? Only where t - window < s <= t: (T, T)."""
    return torch.ones(2 * x.shape[2:3], dtype=torch.bool, device=x.device).tril().triu(1 - window)
'''

DISTANCE_BIAS = '''
def distance_bias(x: Tensor) -> Tensor:
    """Minus the distance from row t back to column s times a slope per head, -inf for s > t: (H, T, T)."""
    position = torch.arange(x.shape[2], device=x.device)
    distance = (position[:, None] - position).to(x)
    slope = 2.0 ** -torch.linspace(1, 8, x.shape[1], device=x.device, dtype=x.dtype)
    return (-slope[:, None, None] * distance).masked_fill(distance < 0, -torch.inf)
'''

FIXED_DECAY = '''
def fixed_decay(x: Tensor, longest: float) -> Tensor:
    """What is left at row t of column s of x (B, H, T, D): (H, T, T); half-lives from `longest` down to 2."""
    rate = math.log(2) / torch.logspace(math.log2(longest), 1, x.shape[1], base=2.0).to(x)
    position = torch.arange(x.shape[2], device=x.device)
    distance = (position[:, None] - position).clamp(min=0)
    return (-rate[:, None, None] * distance).exp().tril()
'''

FIXED_LOG_DECAY = '''
def fixed_log_decay(x: Tensor, longest: float) -> Tensor:
    """Log decays for x (B, H, T, D), the same at every token: (B, H, T); half-lives from `longest` to 2."""
    rate = math.log(2) / torch.logspace(math.log2(longest), 1, x.shape[1], base=2.0).to(x)
    return -rate[:, None].expand(x.shape[:3])
'''

DECAY_MASK = '''
def decay_mask(log_decay: Tensor) -> Tensor:
    """From log decays (B, H, T) to what is left at row t of column s, 0 for s > t: (B, H, T, T)."""
    total = log_decay.cumsum(-1)
    future = torch.ones(2 * total.shape[-1:], dtype=torch.bool, device=total.device).triu(1)
    return (total.unsqueeze(-1) - total.unsqueeze(-2)).masked_fill(future, -torch.inf).exp()
'''

LINEAR_RECALL = '''
def linear_recall(q: Tensor, k: Tensor, v: Tensor, chunk: int = 64) -> Tensor:
    """S_t = S_{t-1} + k_t v_t^T, read by q_t: as attention without softmax inside a chunk."""
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    for qc, kc, vc in zip(*(part.split(chunk, dim=2) for part in (q, k, v)), strict=True):
        read.append((qc @ kc.mT).tril() @ vc + qc @ state)
        state = state + kc.mT @ vc
    return torch.cat(read, dim=2)
'''

HEAD_DECAY_RECALL = '''
def decayed_recall(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, chunk: int = 64) -> Tensor:
    """S_t = a_t S_{t-1} + k_t v_t^T, read by q_t; log_decay (B, H, T) is log a_t."""
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    for qc, kc, vc, log_ac in zip(*(part.split(chunk, dim=2) for part in (q, k, v, log_decay)), strict=True):
        since_start = log_ac.cumsum(-1).exp().unsqueeze(-1)
        mask = decay_mask(log_ac)
        read.append(((qc @ kc.mT) * mask) @ vc + since_start * (qc @ state))
        to_end = mask[..., -1, :].unsqueeze(-1)
        state = since_start[:, :, -1:] * state + (to_end * kc).mT @ vc
    return torch.cat(read, dim=2)
'''

CHANNEL_DECAY_RECALL = '''
def channel_decayed_recall(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, chunk: int = 64) -> Tensor:
    """S_t = diag(a_t) S_{t-1} + k_t v_t^T, read by q_t; log_decay (B, H, T, D) is log a_t, within [-1, 0]."""
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    for qc, kc, vc, log_ac in zip(*(part.split(chunk, dim=2) for part in (q, k, v, log_decay)), strict=True):
        total = log_ac.cumsum(dim=2)  # at least -chunk: exp(-total) fits into float32
        qc, kc = qc * total.exp(), kc * (-total).exp()
        read.append((qc @ kc.mT).tril() @ vc + qc @ state)
        state = total[:, :, -1:].exp().mT * (state + kc.mT @ vc)
    return torch.cat(read, dim=2)
'''

DELTA_RECALL = '''
def delta_recall(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, chunk: int = 32) -> Tensor:
    """S_t = S_{t-1} + k_t u_t^T with u_t = beta_t (v_t - S_{t-1}^T k_t), read by q_t; beta (B, H, T, 1).

    All u of a chunk solve one triangular system; the solver reads only what lies below the diagonal.
    """
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    for qc, kc, vc, bc in zip(*(part.split(chunk, dim=2) for part in (q, k, v, beta)), strict=True):
        overlap, error = bc * (kc @ kc.mT), bc * (vc - kc @ state)
        u = torch.linalg.solve_triangular(overlap, error, upper=False, unitriangular=True)
        read.append((qc @ kc.mT).tril() @ u + qc @ state)
        state = state + kc.mT @ u
    return torch.cat(read, dim=2)
'''

GATED_DELTA_RECALL = '''
def gated_delta_recall(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_decay: Tensor, chunk: int = 32
) -> Tensor:
    """S_t = a_t S_{t-1} + k_t u_t^T with u_t = beta_t (v_t - a_t S_{t-1}^T k_t), read by q_t.

    beta (B, H, T, 1); log_decay (B, H, T) is log a_t. All u of a chunk solve one triangular system.
    """
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    parts = (part.split(chunk, dim=2) for part in (q, k, v, beta, log_decay))
    for qc, kc, vc, bc, log_ac in zip(*parts, strict=True):
        since_start = log_ac.cumsum(-1).exp().unsqueeze(-1)
        mask = decay_mask(log_ac)
        overlap, error = bc * (kc @ kc.mT) * mask, bc * (vc - since_start * (kc @ state))
        u = torch.linalg.solve_triangular(overlap, error, upper=False, unitriangular=True)
        read.append(((qc @ kc.mT) * mask) @ u + since_start * (qc @ state))
        to_end = mask[..., -1, :].unsqueeze(-1)
        state = since_start[:, :, -1:] * state + (to_end * kc).mT @ u
    return torch.cat(read, dim=2)
'''

CHANNEL_DELTA_RECALL = '''
def channel_delta_recall(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, log_decay: Tensor, chunk: int = 32
) -> Tensor:
    """S_t = diag(a_t) S_{t-1} + k_t u_t^T with u_t = beta_t (v_t - S_{t-1}^T diag(a_t) k_t), read by q_t.

    beta (B, H, T, 1); log_decay (B, H, T, D) is log a_t, within [-1, 0]. All u of a chunk solve one
    triangular system.
    """
    state = v.new_zeros(*k.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    parts = (part.split(chunk, dim=2) for part in (q, k, v, beta, log_decay))
    for qc, kc, vc, bc, log_ac in zip(*parts, strict=True):
        total = log_ac.cumsum(dim=2)  # at least -chunk: exp(-total) fits into float32
        qc, write, ask = qc * total.exp(), kc * (-total).exp(), kc * total.exp()
        overlap, error = bc * (ask @ write.mT).tril(), bc * (vc - ask @ state)
        u = torch.linalg.solve_triangular(overlap, error, upper=False, unitriangular=True)
        read.append((qc @ write.mT).tril() @ u + qc @ state)
        state = total[:, :, -1:].exp().mT * (state + write.mT @ u)
    return torch.cat(read, dim=2)
'''

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

TOKEN_SHIFT = '''
class TokenShift(nn.Module):
    """Blend each channel with the same channel of the token before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blend = nn.Parameter(torch.linspace(0.0, 1.0, channels))

    def forward(self, x: Tensor) -> Tensor:
        before = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return x + self.blend * (before - x)
'''

SHORT_CONVOLUTION = '''
class ShortConvolution(nn.Module):
    """Causal depthwise convolution over the last `kernel` tokens, then SiLU: (B, T, C) -> (B, T, C)."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        taps = 0.3 * torch.randn(kernel, channels)
        taps[-1] += 1  # begin close to the identity
        self.taps = nn.Parameter(taps)

    def forward(self, x: Tensor) -> Tensor:
        past = F.pad(x, (0, 0, len(self.taps) - 1, 0))
        return F.silu(sum(tap * past[:, i : i + x.shape[1]] for i, tap in enumerate(self.taps)))
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

# In the order in which they are written to a file: what is used comes first.
HELPERS: dict[str, str] = {
    "by_head": BY_HEAD,
    "rotate": ROTATE,
    "causal_mask": CAUSAL_MASK,
    "window_mask": WINDOW_MASK,
    "distance_bias": DISTANCE_BIAS,
    "fixed_decay": FIXED_DECAY,
    "fixed_log_decay": FIXED_LOG_DECAY,
    "decay_mask": DECAY_MASK,
    "linear_recall": LINEAR_RECALL,
    "decayed_recall": HEAD_DECAY_RECALL,
    "channel_decayed_recall": CHANNEL_DECAY_RECALL,
    "delta_recall": DELTA_RECALL,
    "gated_delta_recall": GATED_DELTA_RECALL,
    "channel_delta_recall": CHANNEL_DELTA_RECALL,
    "running_average": RUNNING_AVERAGE,
    "TokenShift": TOKEN_SHIFT,
    "ShortConvolution": SHORT_CONVOLUTION,
    "ShortFilter": SHORT_FILTER,
    "LongFilter": LONG_FILTER,
}


def with_dependencies(names: set[str]) -> list[str]:
    """List the helpers in `names` and all that they call, in the order of the file."""
    wanted = set(names)
    if wanted & {"decayed_recall", "gated_delta_recall"}:
        wanted.add("decay_mask")
    return [name for name in HELPERS if name in wanted]
