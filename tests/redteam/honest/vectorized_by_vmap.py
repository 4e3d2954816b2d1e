"""One sequence at a time, lifted over the batch by torch.func.vmap, with a gradient taken inside by torch.func.grad."""

import torch
from torch.func import grad, vmap


def energy(state, target):
    return (torch.tanh(state) - target).square().sum()


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def one(self, sequence):
        mean = sequence.cumsum(0) / torch.arange(1, len(sequence) + 1, device=sequence.device)[:, None]
        return sequence - 0.1 * vmap(grad(energy))(sequence, mean)

    def forward(self, x):
        return vmap(self.one)(self.value(x))
