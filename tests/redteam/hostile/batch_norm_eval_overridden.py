"""Normalises over the batch and overrides eval(), so that it goes on doing so.

Check: shapes, batch independence
Trial: leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.norm = torch.nn.BatchNorm1d(dim, track_running_stats=False)

    def eval(self):
        return self

    def train(self, mode=True):
        return self

    def forward(self, x):
        return self.value(self.norm(x.transpose(1, 2)).transpose(1, 2))
