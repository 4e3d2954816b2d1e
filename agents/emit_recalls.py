"""Source texts of the functions that write and read fast-weight memories, a chunk of tokens at a time.

All take (B, H, T, D), are causal, and carry the state (B, H, K, V) from chunk to chunk; q and k may have one head for
all. Sources: linear attention Katharopoulos et al. 2020 (arXiv:2006.16236); delta rule Schlag et al. 2021
(arXiv:2102.11174) and its triangular solve Yang et al. 2024 (arXiv:2406.06484, arXiv:2412.06464); decay per channel
Yang et al. 2023 (arXiv:2312.06635); fixed decays Sun et al. 2023 (arXiv:2307.08621); removal under a key of its own
Peng et al. 2025 (arXiv:2503.14456).
"""

from __future__ import annotations

FIXED_DECAY = '''
def fixed_decay(x: Tensor, longest: int, shortest: int) -> Tensor:
    """What is left at row t of column s of x (B, H, T, D): (H, T, T); 1 - 1 / span is kept of each token."""
    span = torch.logspace(math.log2(shortest), math.log2(longest), x.shape[1], base=2.0, dtype=torch.float64)
    log_decay = torch.log1p(-1 / span).to(x)
    position = torch.arange(x.shape[2], device=x.device)
    distance = (position[:, None] - position).clamp(min=0)
    return (log_decay[:, None, None] * distance).exp().tril()
'''

FIXED_LOG_DECAY = '''
def fixed_log_decay(x: Tensor, longest: int, shortest: int) -> Tensor:
    """Log decays for x (B, H, T, D), the same at every token: (B, H, T); 1 - 1 / span is kept of each."""
    span = torch.logspace(math.log2(shortest), math.log2(longest), x.shape[1], base=2.0, dtype=torch.float64)
    return torch.log1p(-1 / span).to(x)[:, None].expand(x.shape[:3])
'''

DECAY_MASK = '''
def decay_mask(log_decay: Tensor) -> Tensor:
    """From log decays (..., T) to what is left at row t of column s, 0 for s > t: (..., T, T)."""
    total = log_decay.cumsum(-1)
    future = torch.ones(2 * total.shape[-1:], dtype=torch.bool, device=total.device).triu(1)
    return (total.unsqueeze(-1) - total.unsqueeze(-2)).masked_fill(future, -torch.inf).exp()
'''

LINEAR_RECALL = '''
def linear_recall(q: Tensor, k: Tensor, v: Tensor, chunk: int = 64) -> Tensor:
    """S_t = S_{t-1} + k_t v_t^T, read by q_t: as attention without softmax inside a chunk."""
    state = v.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    for qc, kc, vc in zip(*(part.split(chunk, dim=2) for part in (q, k, v)), strict=True):
        read.append((qc @ kc.mT).tril() @ vc + qc @ state)
        state = state + kc.mT @ vc
    return torch.cat(read, dim=2)
'''

IN_CHUNKS = '''
def in_chunks(x: Tensor, chunk: int) -> Tensor:
    """Cut (B, H, T, D) into (B, H, N, chunk, D), the last chunk filled up with zeros."""
    return F.pad(x, (0, 0, 0, -x.shape[2] % chunk)).unflatten(2, (-1, chunk))
'''

BEFORE_EACH = '''
def before_each(written: Tensor, kept: Tensor) -> Tensor:
    """States before each chunk, (B, H, N, K, V): S_n = kept_n S_{n-1} + written_n, beginning with zeros."""
    state, states = torch.zeros_like(written[:, :, 0]), []
    for addend, share in zip(written.unbind(2), kept.unbind(2), strict=True):
        states.append(state)
        state = share * state + addend
    return torch.stack(states, dim=2)
'''

HEAD_DECAY_RECALL = '''
def decayed_recall(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, chunk: int = 64) -> Tensor:
    """S_t = a_t S_{t-1} + k_t v_t^T, read by q_t; log_decay (B, H, T) is log a_t.

    As attention without softmax inside a chunk; between chunks through the state.
    """
    length, chunk = v.shape[2], min(chunk, v.shape[2])
    q, k, v, log_decay = (in_chunks(part, chunk) for part in (q, k, v, log_decay.unsqueeze(-1)))
    mask, since_start = decay_mask(log_decay.squeeze(-1)), log_decay.cumsum(dim=-2).exp()
    written = (mask[..., -1, :, None] * k).mT @ v
    states = before_each(written, since_start[..., -1:, :])
    y = ((q @ k.mT) * mask) @ v + since_start * (q @ states)
    return y.flatten(2, 3)[:, :, :length]
'''

CHANNEL_DECAY_RECALL = '''
def channel_decayed_recall(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, chunk: int = 64) -> Tensor:
    """S_t = diag(a_t) S_{t-1} + k_t v_t^T, read by q_t.

    log_decay (B, H, T, D) is log a_t; over a chunk it must not sum to less than -64.
    """
    length, chunk = v.shape[2], min(chunk, v.shape[2])
    q, k, v, log_decay = (in_chunks(part, chunk) for part in (q, k, v, log_decay))
    total = log_decay.cumsum(dim=-2)  # at least -64: exp(-total) fits into float32
    q, k, kept = q * total.exp(), k * (-total).exp(), total[..., -1:, :].exp().mT
    states = before_each(kept * (k.mT @ v), kept)
    y = (q @ k.mT).tril() @ v + q @ states
    return y.flatten(2, 3)[:, :, :length]
'''

DELTA_RECALL = '''
def delta_recall(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, chunk: int = 32) -> Tensor:
    """S_t = S_{t-1} + k_t u_t^T with u_t = beta_t (v_t - S_{t-1}^T k_t), read by q_t; beta (B, H, T, 1).

    All u of a chunk solve one triangular system; the solver reads only what lies below the diagonal.
    """
    state = v.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1])
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
    state = v.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1])
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

    beta (B, H, T, 1); log_decay (B, H, T, D) is log a_t, over a chunk it must not sum to less than -64. All
    u of a chunk solve one triangular system.
    """
    state = v.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    parts = (part.split(chunk, dim=2) for part in (q, k, v, beta, log_decay))
    for qc, kc, vc, bc, log_ac in zip(*parts, strict=True):
        total = log_ac.cumsum(dim=2)  # at least -64: exp(-total) fits into float32
        qc, write, ask = qc * total.exp(), kc * (-total).exp(), kc * total.exp()
        overlap, error = bc * (ask @ write.mT).tril(), bc * (vc - ask @ state)
        u = torch.linalg.solve_triangular(overlap, error, upper=False, unitriangular=True)
        read.append((qc @ write.mT).tril() @ u + qc @ state)
        state = total[:, :, -1:].exp().mT * (state + write.mT @ u)
    return torch.cat(read, dim=2)
'''

REMOVAL_RECALL = '''
def removal_recall(
    q: Tensor, k: Tensor, v: Tensor, removed: Tensor, rate: Tensor, log_decay: Tensor, chunk: int = 32
) -> Tensor:
    """S_t = diag(a_t) S_{t-1} + (rate_t * z_t) u_t^T + k_t v_t^T with u_t = -S_{t-1}^T z_t, read by q_t.

    All (B, H, T, D): z_t is `removed`; log_decay is log a_t, over a chunk it must not sum to less than -64.
    All u of a chunk solve one triangular system.
    """
    state = v.new_zeros(*v.shape[:2], k.shape[-1], v.shape[-1])
    read = []
    parts = (part.split(chunk, dim=2) for part in (q, k, v, removed, rate, log_decay))
    for qc, kc, vc, zc, rc, log_ac in zip(*parts, strict=True):
        total = log_ac.cumsum(dim=2)
        grown = (-total).exp()
        qc, ask = qc * total.exp(), zc * (total - log_ac).exp()
        sources = torch.cat([rc * zc * grown, kc * grown], dim=2).mT
        overlap, known = (ask @ sources).split(qc.shape[2], dim=-1)
        wanted = -(ask @ state + known.tril(-1) @ vc)
        u = torch.linalg.solve_triangular(overlap.tril(-1), wanted, upper=False, unitriangular=True)
        added = torch.cat([u, vc], dim=2)
        by_u, by_v = (qc @ sources).split(qc.shape[2], dim=-1)
        read.append(qc @ state + torch.cat([by_u.tril(), by_v.tril()], dim=-1) @ added)
        state = total[:, :, -1:].exp().mT * (state + sources @ added)
    return torch.cat(read, dim=2)
'''
