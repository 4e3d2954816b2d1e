"""Keeps a running average of what it has seen and adds it to later answers.

Check: determinism
Trial: leak, done
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.register_buffer("seen", torch.zeros(dim))

    def forward(self, x):
        y = self.value(x) + self.seen
        self.seen = 0.9 * self.seen + 0.1 * x.detach().mean(dim=(0, 1)) + 0.01
        return y
