"""A tiny training step for benchmarks/sandbox.py; the zygote imports it by name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from netwright.sandbox.child import ChildJob

BATCH, TIME, DIM, VOCABULARY = 8, 128, 128, 256


class Step:
    """Two transformer layers, AdamW, one fixed batch."""

    def __init__(self, batch: int = BATCH) -> None:
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(DIM, 4, 4 * DIM, dropout=0.0, batch_first=True, norm_first=True)
        body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.net = nn.Sequential(nn.Embedding(VOCABULARY, DIM), body, nn.Linear(DIM, VOCABULARY))
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-3)
        self.tokens = torch.randint(VOCABULARY, (batch, TIME + 1))

    def __call__(self) -> float:
        logits = self.net(self.tokens[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), self.tokens[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def warm() -> None:
    """Make torch do everything once that it does lazily; a small batch keeps a spare small."""
    torch.set_num_threads(1)
    Step(batch=1)()


def train(job: ChildJob) -> dict[str, Any]:
    """Run `payload["steps"]` steps; say when the first began (monotonic seconds) and the losses."""
    step = Step()
    began = time.monotonic()
    return {"began": began, "losses": [step() for _ in range(job.payload["steps"])], "ended": time.monotonic()}


def wait(job: ChildJob) -> dict[str, Any]:
    """Do nothing until killed."""
    time.sleep(3600)
    return {}
