"""Never ends being imported.

Check: builds
Trial: timeout
"""

import torch


while True:
    pass


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()

    def forward(self, x):
        return x
