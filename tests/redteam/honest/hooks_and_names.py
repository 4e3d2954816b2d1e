"""A forward hook of its own, a frozen parameter, and a module shared by all layers."""

import torch

SHARED = torch.nn.ModuleDict()


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        if layer == 0:
            SHARED.clear()
            SHARED["core"] = torch.nn.Linear(dim, dim)
        self.core = SHARED["core"]
        self.gain = torch.nn.Parameter(torch.ones(dim) / (layer + 1))
        self.floor = torch.nn.Parameter(torch.zeros(dim), requires_grad=False)
        self.register_forward_pre_hook(lambda module, inputs: (inputs[0] + module.floor,))

    def forward(self, x):
        return self.core(x.cummax(dim=1).values) * self.gain
