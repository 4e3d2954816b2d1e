"""`memorisation`: learn a fixed dictionary by heart.

    dictionary   b -> 7, d -> 2, a -> 5, ...      one for the whole task: the same in training and when scored
    inputs       b ? d ? d ? a ? ...
    targets      . 7 . 2 . 2 . 5 ...              scored: the values

Nothing in the row tells the answer: it has to stand in the weights. It shows what a mixer takes away from the channel
MLPs, where such facts live, since all designs have the same number of parameters.

Source: memorisation of Poli et al. 2024 (arXiv:2403.17844), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.evaluator.tasks.generated import GeneratedTask, generated
from netwright.types import TaskSpec

KEYS, VALUES = 384, 64
DICTIONARY_SEED = 2024
SUMMARIES = {"memorisation": "learn a fixed dictionary by heart (nats per answer)"}


def memorisation() -> GeneratedTask:
    return generated(
        "memorisation",
        SUMMARIES["memorisation"],
        _draw,
        vocab_size=KEYS + VALUES + 1,
        max_len=32,
        chance_nats=math.log(VALUES),
        parameters=140_000,
        batch_size=16,
        options={"keys": KEYS, "values": VALUES},
    )


TASKS: Mapping[str, Callable[[], GeneratedTask]] = {"memorisation": memorisation}


def _draw(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    n_keys, n_values = spec.options["keys"], spec.options["values"]
    dictionary = np.random.default_rng(DICTIONARY_SEED).integers(n_keys, n_keys + n_values, size=n_keys)
    keys = generator.integers(0, n_keys, size=(rows, spec.max_len // 2))
    asked = np.full_like(keys, n_keys + n_values)
    inputs = np.stack([keys, asked], axis=2).reshape(rows, spec.max_len)
    targets = np.stack([np.full_like(keys, UNSCORED), dictionary[keys]], axis=2).reshape(rows, spec.max_len)
    return Batch(inputs, targets)
