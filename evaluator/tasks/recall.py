"""`recall`: multi-query associative recall (MQAR). Remember key-value pairs, then answer for many keys.

    inputs   b 7 d 2 a 5 | d b d a b a        pairs first, then one query at each further position
    targets  . . . . . . | 2 7 2 5 7 5        scored: the answers alone; metric: nats per answer

All keys of a row differ; values may repeat; which value belongs to which key is drawn anew in every row, so
nothing can be learned by heart. In training every batch draws its number of pairs log-uniformly from
`min_pairs` to `max_pairs`: the easy batches shorten the plateau before recall is discovered, which in short
runs is otherwise a lottery of seeds. Held-out rows all have `max_pairs`.

Source: Arora et al., "Zoology: Measuring and Improving Recall in Efficient Language Models", 2023
(arXiv:2312.04927), section 3. There queries are spread by a power law; here they are dense, for more signal
per token.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.evaluator.tasks.base import UNSCORED, Batch, describe_costs, keyed_generator
from netwright.types import Recipe, Rung, Scope, Split, TaskSpec

SUMMARY = "multi-query associative recall: remember key-value pairs, answer for keys (nats per answer)"
TOKENS_PER_SECOND = 45_000
OPTIONS: dict[str, Any] = {"keys": 24, "values": 24, "min_pairs": 1, "max_pairs": 20}


@dataclass(frozen=True)
class RecallTask:
    """Associative recall, generated: training rows from the seed, held-out rows from the secret key."""

    spec: TaskSpec

    @classmethod
    def load(cls) -> RecallTask:
        return cls(_spec())

    @property
    def details(self) -> str:
        options = self.spec.options
        return (
            f"generated: {options['min_pairs']} to {options['max_pairs']} pairs in training, "
            f"{options['max_pairs']} when scored; chance is {math.log(options['values']):.2f} nats\n"
            + describe_costs(self.spec, TOKENS_PER_SECOND)
        )

    def training_data(self) -> bytes:
        return b""

    def held_out(self, split: Split, key: bytes) -> Batch:
        """Return rows that only the key's holder can make; there are so many that none recurs in training."""
        generator = keyed_generator(key, self.spec.name, split.value)
        rows = self.spec.test_rows if split is Split.TEST else self.spec.validation_rows
        return recall_rows(generator, self.spec, rows=rows, pairs=self.spec.options["max_pairs"])


def training_batches(spec: TaskSpec, *, seed: int, batch_size: int) -> Iterator[Batch]:
    """Yield endless batches of mixed difficulty, generated from the seed."""
    generator = np.random.default_rng([seed, 2])
    easiest, hardest = math.log(spec.options["min_pairs"]), math.log(spec.options["max_pairs"] + 1)
    while True:
        pairs = int(math.exp(generator.uniform(easiest, hardest)))
        yield recall_rows(generator, spec, rows=batch_size, pairs=min(pairs, spec.options["max_pairs"]))


def recall_rows(generator: np.random.Generator, spec: TaskSpec, *, rows: int, pairs: int) -> Batch:
    """Draw `rows` rows of length `spec.max_len`: tokens below `keys` are keys, the values follow them."""
    n_keys, n_values = spec.options["keys"], spec.options["values"]
    keys = generator.permuted(np.tile(np.arange(n_keys), (rows, 1)), axis=1)[:, :pairs]
    values = generator.integers(n_keys, n_keys + n_values, size=(rows, pairs))
    asked = generator.integers(0, pairs, size=(rows, spec.max_len - 2 * pairs))
    shown = np.stack([keys, values], axis=2).reshape(rows, 2 * pairs)
    inputs = np.concatenate([shown, np.take_along_axis(keys, asked, axis=1)], axis=1)
    answers = np.take_along_axis(values, asked, axis=1)
    targets = np.concatenate([np.full_like(shown, UNSCORED), answers], axis=1)
    return Batch(inputs.astype(np.int32), targets.astype(np.int32))


def _spec() -> TaskSpec:
    return TaskSpec(
        name="recall",
        summary=SUMMARY,
        scope=Scope.MIXER,
        vocab_size=OPTIONS["keys"] + OPTIONS["values"],
        max_len=64,
        dim=64,
        heads=4,
        layers=2,
        parameters=90_000,
        metric="loss",
        recipe=Recipe(lr=1e-2, batch_size=8),
        rungs=(Rung(level=0, tokens=240_000), Rung(level=1, tokens=720_000)),
        validation_rows=256,
        test_rows=512,
        options=OPTIONS,
    )
