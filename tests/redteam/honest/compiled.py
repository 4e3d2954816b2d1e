"""Functions, methods and modules under torch.compile, some of them with fullgraph=True."""

import torch
import torch._dynamo

torch._dynamo.config.suppress_errors = True


@torch.compile(fullgraph=True, dynamic=True)
def gated_mean(x, gate):
    weight = torch.sigmoid(gate)
    return torch.cumsum(weight * x, dim=1) / torch.cumsum(weight, dim=1).clamp(min=1e-3)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.compile(torch.nn.Linear(dim, dim), mode="max-autotune")
        self.gate = torch.nn.Linear(dim, dim)
        self.gate.compile()
        self.out = torch.compile(self.project)

    @torch.compiler.disable
    def project(self, y):
        return y * 0.5

    def forward(self, x):
        return self.out(gated_mean(self.value(x), self.gate(x)))
