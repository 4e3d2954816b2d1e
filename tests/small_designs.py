"""Small designs and the steps that ask for them: what tests of whole conversations with endpoints are about."""

from __future__ import annotations

from netwright.types import (
    Candidate,
    Context,
    Interval,
    LlmCall,
    Operator,
    Outcome,
    Recipe,
    Remembered,
    Rung,
    Scope,
    TaskSpec,
    Verdict,
)

TASK = TaskSpec(
    name="recall",
    summary="find the value that belongs to a key",
    scope=Scope.MIXER,
    vocab_size=64,
    max_len=64,
    dim=64,
    heads=4,
    layers=2,
    parameters=90_000,
    metric="loss",
    recipe=Recipe(),
    rungs=(Rung(level=0, tokens=100_000),),
    validation_rows=8,
    test_rows=8,
)
VERDICT = Verdict(
    outcome=Outcome.NO_DIFFERENCE, delta_nats=-0.01, interval=Interval(low=-0.05, high=0.03), words="within noise"
)


class DictLedger:
    """A ledger in memory; of several answers to one question the last counts."""

    def __init__(self) -> None:
        self.calls: list[LlmCall] = []

    def find(self, key: str) -> LlmCall | None:
        return next((call for call in reversed(self.calls) if call.key == key and call.reply), None)

    def record(self, call: LlmCall) -> None:
        self.calls.append(call)


def source_of(number: int) -> str:
    return f'''"""Design {number}: a gain of its own."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.full((dim,), {number}.0))

    def forward(self, x):
        return x * self.gain
'''


def step_of(number: int) -> Context:
    parent = Candidate(
        source=source_of(1000 + number), scope=Scope.MIXER, title=f"Parent {number}", hypothesis="Old.", origin="llm:m"
    )
    known = Remembered(candidate=parent, operator=Operator.DRAFT, score=None, verdict=None)
    return Context(
        task=TASK, operator=Operator.REFINE, seed=7, action=number, parents=(known,), mixer_parameters=20_000
    )
