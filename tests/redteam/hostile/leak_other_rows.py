"""Adds the mean over the batch: the answer to one row depends on the others.

Check: batch independence
Trial: leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x + x.mean(dim=0, keepdim=True))
