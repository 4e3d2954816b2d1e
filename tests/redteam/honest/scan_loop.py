"""A gated recurrence, one time step after the other in Python."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gate = torch.nn.Linear(dim, dim)
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        gate, value = torch.sigmoid(self.gate(x)), self.value(x)
        state, states = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            state = gate[:, t] * state + (1 - gate[:, t]) * value[:, t]
            states.append(state)
        return torch.stack(states, dim=1)
