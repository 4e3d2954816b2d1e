"""`noisy-recall`: associative recall in a stream of irrelevant tokens.

    inputs   x b 7 y y d 2 x | d y b x d     pairs stay together; noise has tokens of its own
    targets  . . . . . . . . | 2 . 7 . 2     scored: the answers to keys that were shown

As in `recall` all keys of a row differ and values are drawn anew. Noise stands between pairs and between queries,
anywhere, so that a design has to find out what matters before it can count positions.

Source: noisy in-context recall of Poli et al. 2024 (arXiv:2403.17844), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.evaluator.tasks.generated import GeneratedTask, by_size, distinct, draw_sizes, generated, places_in_order
from netwright.types import TaskSpec

KEYS, VALUES, NOISE = 16, 16, 16
PAIRS, SHOWN = 6, 24
"""Pairs of a held-out row, and the positions among which they and their noise lie; the rest are queries."""
SUMMARIES = {"noisy-recall": "associative recall among irrelevant tokens (nats per answer)"}


def noisy_recall() -> GeneratedTask:
    return generated(
        "noisy-recall",
        SUMMARIES["noisy-recall"],
        _draw,
        vocab_size=KEYS + VALUES + NOISE,
        max_len=64,
        chance_nats=math.log(VALUES),
        options={"keys": KEYS, "values": VALUES, "noise": NOISE, "min_pairs": 1, "max_pairs": PAIRS, "shown": SHOWN},
    )


TASKS: Mapping[str, Callable[[], GeneratedTask]] = {"noisy-recall": noisy_recall}


def _draw(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    options = spec.options
    n_keys, n_values, shown = options["keys"], options["values"], options["shown"]
    noise = n_keys + n_values

    def draw(count: int, pairs: int) -> tuple[NDArray[Any], NDArray[Any]]:
        inputs = generator.integers(noise, spec.vocab_size, size=(count, spec.max_len))
        targets = np.full_like(inputs, UNSCORED)
        keys = distinct(generator, count, n_keys, pairs)
        values = generator.integers(n_keys, noise, size=(count, pairs))
        # Rising places among `shown - pairs`, spread by one each: a pair takes two neighbouring positions.
        starts = places_in_order(generator, count, shown - pairs, pairs) + np.arange(pairs)
        np.put_along_axis(inputs, starts, keys, axis=1)
        np.put_along_axis(inputs, starts + 1, values, axis=1)
        n_asked = (spec.max_len - shown) // 2
        asked = generator.integers(0, pairs, size=(count, n_asked))
        places = shown + places_in_order(generator, count, spec.max_len - shown, n_asked)
        np.put_along_axis(inputs, places, np.take_along_axis(keys, asked, axis=1), axis=1)
        np.put_along_axis(targets, places, np.take_along_axis(values, asked, axis=1), axis=1)
        return inputs, targets

    sizes = draw_sizes(generator, spec, rows, options["min_pairs"], options["max_pairs"], training=training)
    return by_size(sizes, draw)
