"""Keeps writing into its outputs after it has replied, between the check of what it wrote and its use.

Check: imports
Trial: done, crashed, bad weights, leak, too many threads, timeout
"""

import gc
import threading

import torch


def scribble():
    while True:
        for thing in gc.get_objects():
            outputs = getattr(thing, "outputs", None) if type(thing).__name__ == "ChildJob" else None
            for view in (outputs or {}).values():
                if len(view) > 4096:
                    view[2048:2056] = b"\xff" * 8


threading.Thread(target=scribble, daemon=True).start()


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
