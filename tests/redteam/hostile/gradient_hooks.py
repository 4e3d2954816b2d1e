"""Trains by hooks on its gradients: each writes into the weights by itself.

Check: determinism
Trial: done, crashed, diverged, bad weights, bad logits
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.value.weight.register_post_accumulate_grad_hook(self.learn)

    @torch.no_grad()
    def learn(self, parameter):
        parameter.sub_(0.01 * parameter.grad)
        parameter.grad = None

    def forward(self, x):
        return self.value(x)
