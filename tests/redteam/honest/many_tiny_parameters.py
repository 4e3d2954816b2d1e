"""A hundred and twenty parameters of one to four numbers each, in lists and dictionaries."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.scales = torch.nn.ParameterList(torch.nn.Parameter(torch.ones(())) for _ in range(dim))
        self.shifts = torch.nn.ParameterDict({f"s{i}": torch.nn.Parameter(torch.zeros(1)) for i in range(dim)})
        self.mixes = torch.nn.ParameterList(torch.randn(4) / 4 for _ in range(dim // 4))
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        scale = torch.stack(list(self.scales))
        shift = torch.cat([self.shifts[f"s{i}"] for i in range(x.shape[-1])])
        past = sum(
            torch.nn.functional.pad(x, (0, 0, lag, 0))[:, : x.shape[1]] * torch.stack(list(self.mixes)).mean(0)[lag]
            for lag in range(4)
        )
        return self.value(past * scale + shift)
