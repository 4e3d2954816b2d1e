"""Makes the network sixteen times larger than the task allows.

Check: parameters
Trial: crashed
"""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Sequential(torch.nn.Linear(dim, 200 * dim), torch.nn.Linear(200 * dim, dim))

    def forward(self, x):
        return self.value(x)
