"""A mixture of four experts, two for each token by a router, gathered with index_add."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.router = torch.nn.Linear(dim, 4, bias=False)
        self.experts = torch.nn.ModuleList(torch.nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x):
        past = x + torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
        tokens = past.flatten(0, 1)
        weights, chosen = self.router(tokens).softmax(dim=-1).topk(2, dim=-1)
        y = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            token, place = (chosen == number).nonzero(as_tuple=True)
            y = y.index_add(0, token, weights[token, place, None] * expert(tokens[token]))
        return y.view_as(x)
