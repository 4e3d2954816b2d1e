"""`selective-copying`: pick out the tokens that matter, in order, and leave the noise.

    inputs   . c . . a . b . | > > >        what matters lies anywhere among noise; then as many prompts
    targets                  | c a b        scored: the prompts

How far back the n-th token lies differs from row to row, so no filter of fixed taps finds it: a design must decide
from the input what to store. Training mixes in rows with less to copy.

Source: Gu & Dao 2023, "Mamba" (arXiv:2312.00752), section 3.1, and Poli et al. 2024 (arXiv:2403.17844), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.evaluator.tasks.generated import GeneratedTask, by_size, draw_sizes, generated, places_in_order
from netwright.types import TaskSpec

CONTENT = 16
NOISE, PROMPT = CONTENT, CONTENT + 1
COPIED = 8
SUMMARIES = {"selective-copying": "copy in order what stands among noise (nats per answer)"}


def selective_copying() -> GeneratedTask:
    return generated(
        "selective-copying",
        SUMMARIES["selective-copying"],
        _draw,
        vocab_size=CONTENT + 2,
        max_len=48,
        chance_nats=math.log(CONTENT),
        batch_size=10,
        options={"content": CONTENT, "min_copied": 2, "max_copied": COPIED},
    )


TASKS: Mapping[str, Callable[[], GeneratedTask]] = {"selective-copying": selective_copying}


def _draw(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    options = spec.options

    def draw(count: int, copied: int) -> tuple[NDArray[Any], NDArray[Any]]:
        content = generator.integers(0, options["content"], size=(count, copied))
        inputs = np.full((count, spec.max_len), NOISE)
        places = places_in_order(generator, count, spec.max_len - copied, copied)
        np.put_along_axis(inputs, places, content, axis=1)
        targets = np.full_like(inputs, UNSCORED)
        inputs[:, -copied:], targets[:, -copied:] = PROMPT, content
        return inputs, targets

    sizes = draw_sizes(generator, spec, rows, options["min_copied"], options["max_copied"], training=training)
    return by_size(sizes, draw)
