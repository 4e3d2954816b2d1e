"""`memorisation`: learn a fixed dictionary by heart.

    dictionary   b g -> 7, b c -> 2, a g -> 5, ...     one for the whole task: the same in training and when scored
    inputs       b g ? b c ? b c ? a g ? ...
    targets      . . 7 . . 2 . . 2 . . 5 ...           scored: the values

Nothing in the row tells the answer: it has to stand in the weights. A key is two letters, and every pair of letters has
a value of its own, so the embedding of one letter cannot hold it. It shows what a mixer takes away from the channel
MLPs, where such facts live, since all designs have the same number of parameters.

Source: memorisation of Poli et al. 2024 (arXiv:2403.17844), section 3.1, with keys of two tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.evaluator.tasks.generated import GeneratedTask, generated
from netwright.types import TaskSpec

LETTERS, VALUES = 48, 32
DICTIONARY_SEED = 2024
SUMMARIES = {"memorisation": "learn a fixed dictionary by heart (nats per answer)"}


def memorisation() -> GeneratedTask:
    return generated(
        "memorisation",
        SUMMARIES["memorisation"],
        _draw,
        vocab_size=LETTERS + VALUES + 1,
        max_len=48,
        chance_nats=math.log(VALUES),
        batch_size=10,
        options={"letters": LETTERS, "values": VALUES},
    )


TASKS: Mapping[str, Callable[[], GeneratedTask]] = {"memorisation": memorisation}


def _draw(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    letters, values = spec.options["letters"], spec.options["values"]
    dictionary = np.random.default_rng(DICTIONARY_SEED).integers(letters, letters + values, size=(letters, letters))
    keys = generator.integers(0, letters, size=(rows, spec.max_len // 3, 2))
    asked = np.full((*keys.shape[:2], 1), letters + values)
    inputs = np.concatenate([keys, asked], axis=2).reshape(rows, spec.max_len)
    answers = dictionary[keys[..., 0], keys[..., 1]][..., None]
    targets = np.concatenate([np.full_like(keys, UNSCORED), answers], axis=2).reshape(rows, spec.max_len)
    return Batch(inputs, targets)
