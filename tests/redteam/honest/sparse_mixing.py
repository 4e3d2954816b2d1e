"""Mixes time by a sparse matrix: each step reads 1, 2, 4, 8 steps before it."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        length = x.shape[1]
        pairs = [(t, t - lag) for lag in (0, 1, 2, 4, 8) for t in range(lag, length)]
        where = torch.tensor(pairs, device=x.device).T
        mixing = torch.sparse_coo_tensor(where, torch.full((len(pairs),), 0.2), (length, length)).to(x)
        columns = self.value(x).transpose(0, 1).flatten(1)
        mixed = torch.sparse.mm(mixing.float(), columns.float()).to(x.dtype)
        return mixed.unflatten(1, (x.shape[0], -1)).transpose(0, 1)
