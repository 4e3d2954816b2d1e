"""Ridge regression on the past, solved anew at every step by a Cholesky factorisation."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.kvq = torch.nn.Linear(dim, 3 * 4)
        self.out = torch.nn.Linear(4, dim)

    def forward(self, x):
        k, v, q = self.kvq(x).chunk(3, dim=-1)
        before = torch.nn.functional.pad(torch.einsum("bti,btj->btij", k, v), (0, 0, 0, 0, 1, 0))[:, :-1]
        grams = torch.einsum("bti,btj->btij", k, k).cumsum(1) + 1.0 * torch.eye(4, device=x.device, dtype=x.dtype)
        solved = torch.cholesky_solve(before.cumsum(1), torch.linalg.cholesky(grams))
        return self.out(torch.einsum("bti,btij->btj", q, solved))
