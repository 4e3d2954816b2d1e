"""Replaces the optimizer's step, its groups and the clipping of gradients by larger ones.

Check: imports
Trial: done, crashed, diverged, bad weights, bad logits, leak
"""

import torch


step = torch.optim.AdamW.step


def stronger(self, closure=None):
    for group in self.param_groups:
        group.update(lr=10 * group["lr"], weight_decay=0.0, betas=(0.5, 0.5))
    for _ in range(3):
        step(self)


torch.optim.AdamW.step = stronger
torch.nn.utils.clip_grad_norm_ = lambda parameters, most: torch.zeros(())


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
