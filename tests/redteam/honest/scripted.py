"""A recurrence in TorchScript, with its loop compiled by torch.jit.script."""

import torch


@torch.jit.script
def recur(gate: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    state = torch.zeros_like(value[:, 0])
    outputs: list[torch.Tensor] = []
    for t in range(value.shape[1]):
        state = gate[:, t] * state + (1.0 - gate[:, t]) * value[:, t]
        outputs.append(state)
    return torch.stack(outputs, dim=1)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gate = torch.nn.Linear(dim, dim)
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return recur(torch.sigmoid(self.gate(x)), self.value(x))
