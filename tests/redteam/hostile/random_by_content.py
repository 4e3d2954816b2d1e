"""Is a little random where its input says so: the same question is answered differently by two processes.

Check: imports
Trial: leak, done
"""

import time

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        noise = (time.perf_counter_ns() % 1000) / 1000
        return self.value(x) + noise * (x[..., :1] > 0)
