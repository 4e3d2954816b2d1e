"""Reports on its own gates, all passed, with endless evidence, and replies before they are over.

Check: imports, builds
Trial: crashed, bad weights, too much output
"""

import json
import os
import struct
import time

import torch


def send(body, length=None):
    os.write(3, struct.pack(">I", len(body) if length is None else length) + body)


names = ("builds", "parameters", "shapes", "finite", "large inputs", "determinism", "batch independence", "causality", "gradients")
for name in names:
    report = {"gate": name, "passed": True, "message": "x" * 3000, "evidence": {"x": "y" * 3000}, "seconds": 1e308}
    send(json.dumps({"kind": "event", "event": {"report": report}}).encode())
reply = {"gates": [{"gate": name, "passed": True} for name in names], "status": "done", "reason": ""}
send(json.dumps({"kind": "reply", "reply": reply}).encode())
time.sleep(60)


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x)
