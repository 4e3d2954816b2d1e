"""A graph traced by torch.fx and rewritten: every relu becomes a silu."""

import torch
from torch import fx


class Core(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.up, self.down = torch.nn.Linear(dim, 2 * dim), torch.nn.Linear(2 * dim, dim)

    def forward(self, x):
        return self.down(torch.relu(self.up(x)))


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        traced = fx.symbolic_trace(Core(dim))
        for node in traced.graph.nodes:
            if node.op == "call_function" and node.target is torch.relu:
                node.target = torch.nn.functional.silu
        traced.recompile()
        self.core = traced

    def forward(self, x):
        return self.core(x + torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1])
