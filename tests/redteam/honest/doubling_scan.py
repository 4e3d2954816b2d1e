"""A linear recurrence as log2(T) doubling steps over shifted copies."""

import torch
from torch.nn import functional as F


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gates = torch.nn.Linear(dim, 2 * dim)

    def forward(self, x):
        gate, value = self.gates(x).chunk(2, dim=-1)
        gate = torch.sigmoid(gate)
        value, shift = value * (1 - gate), 1
        while shift < x.shape[1]:
            before = F.pad(value, (0, 0, shift, 0))[:, : x.shape[1]]
            value = value + gate * before
            gate = gate * F.pad(gate, (0, 0, shift, 0), value=1.0)[:, : x.shape[1]]
            shift *= 2
        return value
