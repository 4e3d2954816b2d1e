"""`compression`: bring a whole row into one vector, out of which it is read again.

    inputs                  c a b b a >           random letters and an end mark
    read out of the last    c a b b a             scored: all of the letters, each from that one vector

The vector of the last position is all that a decoder sees, the backbone's and the same for all designs; it is told the
place that it shall read. What a design cannot bring to the end of the row in one vector of the model's width is lost.
When a row is scored, the candidate's process replies with that vector alone, and the trusted side decodes.

Source: compression of Poli et al. 2024 (arXiv:2403.17844), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.evaluator.tasks.generated import GeneratedTask, generated
from netwright.types import TaskSpec

LETTERS, LENGTH = 16, 16
SUMMARIES = {
    "compression": "bring a row into the vector of its last position, to be read out of that alone (nats per letter)"
}


def compression() -> GeneratedTask:
    return generated(
        "compression",
        SUMMARIES["compression"],
        _draw,
        vocab_size=LETTERS + 1,
        max_len=LENGTH + 1,
        chance_nats=math.log(LETTERS),
        parameters=110_000,
        batch_size=32,
        options={"letters": LETTERS},
        answers="code",
    )


TASKS: Mapping[str, Callable[[], GeneratedTask]] = {"compression": compression}


def _draw(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    letters = spec.options["letters"]
    inputs = generator.integers(0, letters, size=(rows, spec.max_len))
    targets = inputs.copy()
    inputs[:, -1], targets[:, -1] = letters, UNSCORED
    return Batch(inputs, targets)
