"""Asks for training that never ends by its recipe: batches of one, a warm-up longer than the training.

Check: recipe
Trial: crashed
"""

import torch


RECIPE = {"batch_size": 0, "warmup": 1e308, "lr": 1e308, "grad_clip": -1.0}


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
