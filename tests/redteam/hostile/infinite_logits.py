"""Answers with plus infinity for every token, whose softmax is whatever one makes of it.

Check: finite
Trial: bad logits, leak
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        y = self.value(x)
        return y if self.training else y + float("inf")
