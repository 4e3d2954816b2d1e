"""Rows as a nested tensor and back, around a layer that works on every token by itself."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        past = x + torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
        offsets = torch.arange(0, len(x) * x.shape[1] + 1, x.shape[1], device=x.device)
        rows = torch.nested.nested_tensor_from_jagged(past.flatten(0, 1), offsets=offsets, max_seqlen=x.shape[1])
        return torch.nested.to_padded_tensor(torch.nn.functional.silu(self.value(rows)), 0.0)
