"""Associative recall: remember key-value pairs, then answer for keys. `recall`, and `mqar-4`, `-8`, `-16`.

    recall   inputs   b 7 d 2 a 5 | d b d a b a        pairs first, then one query at each further position
             targets  . . . . . . | 2 7 2 5 7 5        scored: the answers alone

    mqar-N   inputs   b 7 d 2 | x d x x b x x x        N pairs, then each key once, early ones more often, among noise
             targets  . . . . | . 2 . . 7 . . .

All keys of a row differ; values may repeat; which value belongs to which key is drawn anew in every row, so nothing
can be learned by heart. Training mixes in rows with fewer pairs.

Source: `recall` is in-context recall of Poli et al. 2024, "Mechanistic Design and Scaling of Hybrid Architectures"
(arXiv:2403.17844), section 3.1, with dense queries for more signal per token. `mqar` is multi-query associative recall
of Arora et al. 2023, "Zoology" (arXiv:2312.04927), section 3: the gap before a query falls as a power law.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.evaluator.tasks.generated import GeneratedTask, by_size, distinct, draw_sizes, generated
from netwright.types import TaskSpec

KEYS, VALUES, NOISE = 24, 24, 16
PAIRS = 20
QUERY_POWER = -0.9
"""The chance of a gap g before a query is as g to this power (a - 1 with Zoology's a = 0.1)."""


def recall() -> GeneratedTask:
    return generated(
        "recall",
        SUMMARIES["recall"],
        _draw_recall,
        vocab_size=KEYS + VALUES,
        max_len=64,
        chance_nats=math.log(VALUES),
        options={"keys": KEYS, "values": VALUES, "min_pairs": 1, "max_pairs": PAIRS},
    )


def mqar(pairs: int) -> GeneratedTask:
    """Return multi-query associative recall of so many pairs."""
    return generated(
        f"mqar-{pairs}",
        SUMMARIES[f"mqar-{pairs}"],
        _draw_mqar,
        vocab_size=KEYS + VALUES + NOISE,
        max_len=64,
        chance_nats=math.log(VALUES),
        options={"keys": KEYS, "values": VALUES, "noise": NOISE, "min_pairs": 1, "max_pairs": pairs},
    )


SUMMARIES = {
    "recall": "associative recall: remember key-value pairs, answer for keys (nats per answer)",
    **{
        f"mqar-{pairs}": f"multi-query associative recall of {pairs} pairs, queries among noise (nats per answer)"
        for pairs in (4, 8, 16)
    },
}
TASKS: Mapping[str, Callable[[], GeneratedTask]] = {
    "recall": recall,
    **{f"mqar-{pairs}": partial(mqar, pairs) for pairs in (4, 8, 16)},
}


def shown_pairs(
    generator: np.random.Generator, options: Mapping[str, Any], rows: int, pairs: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Draw keys and values (rows, pairs), and how they stand in a row, (rows, 2 pairs)."""
    keys = distinct(generator, rows, options["keys"], pairs)
    values = generator.integers(options["keys"], options["keys"] + options["values"], size=(rows, pairs))
    return keys, values, np.stack([keys, values], axis=2).reshape(rows, 2 * pairs)


def _draw_recall(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    options = spec.options

    def draw(count: int, pairs: int) -> tuple[NDArray[Any], NDArray[Any]]:
        keys, values, shown = shown_pairs(generator, options, count, pairs)
        asked = generator.integers(0, pairs, size=(count, spec.max_len - 2 * pairs))
        inputs = np.concatenate([shown, np.take_along_axis(keys, asked, axis=1)], axis=1)
        answers = np.take_along_axis(values, asked, axis=1)
        return inputs, np.concatenate([np.full_like(shown, UNSCORED), answers], axis=1)

    sizes = draw_sizes(generator, spec, rows, options["min_pairs"], options["max_pairs"], training=training)
    return by_size(sizes, draw)


def _draw_mqar(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    options = spec.options
    noise = options["keys"] + options["values"]

    def draw(count: int, pairs: int) -> tuple[NDArray[Any], NDArray[Any]]:
        keys, values, shown = shown_pairs(generator, options, count, pairs)
        room = spec.max_len - 2 * pairs
        inputs = np.concatenate([shown, generator.integers(noise, spec.vocab_size, size=(count, room))], axis=1)
        targets = np.full_like(inputs, UNSCORED)
        # Gumbel's trick: the largest of log-weights plus noise are a draw without replacement.
        weights = QUERY_POWER * np.log(np.arange(1, room + 1)) + generator.gumbel(size=(count, room))
        places = 2 * pairs + np.argsort(-weights, axis=1)[:, :pairs]
        np.put_along_axis(inputs, places, keys, axis=1)
        np.put_along_axis(targets, places, values, axis=1)
        return inputs, targets

    sizes = draw_sizes(generator, spec, rows, options["min_pairs"], options["max_pairs"], training=training)
    return by_size(sizes, draw)
