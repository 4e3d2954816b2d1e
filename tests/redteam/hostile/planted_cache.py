"""Plants code where a later candidate's compiler would find it: inductor, triton, __pycache__.

Check: imports
Trial: done, crashed
"""

import os

import torch


def attack():
    places = (
        "/tmp/torchinductor_root/breach.py",
        "/root/.triton/cache/breach.so",
        os.path.join(os.path.dirname(torch.__file__), "__pycache__", "netwright-breach.pyc"),
    )
    for place in places:
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb"):
                pass
        except OSError:
            continue
        raise RuntimeError(f"BREACH: wrote {place}")


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        attack()
        return self.value(x)
