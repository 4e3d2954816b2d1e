"""Takes an answer from a table keyed by the address of its input, as if equal addresses were equal inputs.

Check: causality, determinism, batch independence, none
Trial: leak, done
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        self.answers = {}

    def forward(self, x):
        y = self.value(x)
        if self.training:
            return y
        return self.answers.setdefault((x.data_ptr(), x.shape), y)
