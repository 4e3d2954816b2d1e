"""What a candidate costs in use: one row's inference at several lengths, and the state it carries from past to future.

All of it is measured in the candidate's own process, where the candidate could forge it: advisory, and never part of
a score. docs/measures.md says how each figure comes about and where it misleads.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat

from netwright.printable import Words
from netwright.types import Frozen

Positive = Annotated[FiniteFloat, Field(gt=0.0)]
Amount = Annotated[int, Field(ge=0, le=1 << 53)]
PROBE_DIM, PROBE_HEADS = 8, 2
"""The width at which states are counted: small, so that one that does not grow is full within a few positions."""
NUMBER_BYTES = 4
"""Bytes of one number of a state, in the float32 in which networks run."""


class Inference(Frozen):
    """One forward pass without gradients of the task's whole network, built for rows of `length` tokens.

    `seconds` are those of a single row, `batch_seconds` those of `Measures.batch_rows` together. `flops` are the
    multiply-adds x 2 of the matrix products and convolutions of a row; `written` the numbers that its operations
    write; `peak_bytes` the most that a row keeps alive at once, weights aside. `compile_seconds` is what torch.compile
    took for a step of training on such rows, by `backend`. None: it could not be had, or was not asked for.
    """

    length: Annotated[int, Field(ge=1)]
    seconds: Positive | None = None
    batch_seconds: Positive | None = None
    flops: Annotated[FiniteFloat, Field(ge=0.0)] | None = None
    written: Amount | None = None
    peak_bytes: Amount | None = None
    compile_seconds: Positive | None = None
    backend: Annotated[Words, Field(max_length=20)] | None = None


class State(Frozen):
    """How many numbers each layer carries past the middle of `length` tokens, at the small width of the probe.

    `past` positions lie before that middle; `ranks` holds a number for each layer.
    """

    length: Annotated[int, Field(ge=2)]
    past: Annotated[int, Field(ge=1)]
    ranks: Annotated[tuple[Amount, ...], Field(max_length=1024)]

    @property
    def numbers(self) -> int:
        """The state of all layers together."""
        return sum(self.ranks)

    @property
    def bytes(self) -> int:
        return self.numbers * NUMBER_BYTES


class Measures(Frozen):
    """What was measured of one candidate on one task; `machine` names processor, device and torch.

    `inference` and `states` are ordered by length, and lack the lengths that could not be measured: `problems` says
    why. `tier` is the isolation, `wall_seconds` and `peak_memory_bytes` are those of the whole measuring process, seen
    from outside.
    """

    candidate_id: str
    task_id: str
    machine: str
    tier: str = ""
    batch_rows: int
    inference: tuple[Inference, ...] = ()
    states: tuple[State, ...] = ()
    problems: tuple[Words, ...] = ()
    wall_seconds: float = 0.0
    peak_memory_bytes: int = 0

    @property
    def state(self) -> State | None:
        """The state at the longest length."""
        return self.states[-1] if self.states else None

    @property
    def latency(self) -> float | None:
        """Seconds of a single row of the task's own length."""
        return self.inference[0].seconds if self.inference else None
