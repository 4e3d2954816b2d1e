"""A tiny training step for benchmarks/sandbox.py; the zygote imports it by name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

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
    """Run `payload["steps"]` steps; say when the first began and the last ended (monotonic), and the time of each."""
    step = Step()
    seconds = [_timed(step) for _ in range(job.payload["steps"])]
    ended = time.monotonic()
    return {"began": ended - sum(seconds), "ended": ended, "seconds": seconds}


def _timed(step: Step) -> float:
    began = time.monotonic()
    step()
    return time.monotonic() - began


def first_step() -> tuple[float, float]:
    """When the first step of this process began and ended."""
    torch.set_num_threads(1)
    step = Step()
    began = time.monotonic()
    step()
    return began, time.monotonic()


def send_first_step(pipe: Connection) -> None:
    """Body of a process of the standard library."""
    pipe.send(first_step())


def wait(job: ChildJob) -> dict[str, Any]:
    """Do nothing until killed."""
    time.sleep(3600)
    return {}
