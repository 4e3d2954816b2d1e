"""`compression`: bring a whole row into one vector, out of which it is read again.

    inputs                c a b b a >             random tokens and an end mark
    read at the end mark  c a b b a               scored: all of them, decoded from that one position

The backbone's decoder sees the last position alone, with a learned mark for each position asked for. What a design
cannot carry to the end of the row in one vector of the model's width is lost.

Source: compression of Poli et al. 2024 (arXiv:2403.17844), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.evaluator.tasks.generated import GeneratedTask, generated
from netwright.types import TaskSpec

LETTERS, LENGTH = 16, 24
SUMMARIES = {"compression": "bring a row of tokens into one vector and read it again (nats per token)"}


def compression() -> GeneratedTask:
    return generated(
        "compression",
        SUMMARIES["compression"],
        _draw,
        vocab_size=LETTERS + 1,
        max_len=LENGTH + 1,
        chance_nats=math.log(LETTERS),
        parameters=110_000,
        batch_size=20,
        options={"letters": LETTERS},
        causal=False,
        bottleneck=True,
    )


TASKS: Mapping[str, Callable[[], GeneratedTask]] = {"compression": compression}


def _draw(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    letters = spec.options["letters"]
    drawn = generator.integers(0, letters, size=(rows, spec.max_len))
    drawn[:, -1] = letters
    targets = drawn.copy()
    targets[:, -1] = UNSCORED
    return Batch(drawn, targets)
