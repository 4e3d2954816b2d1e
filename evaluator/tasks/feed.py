"""Training data as it crosses to the untrusted side: one stream of tokens, or rows with their targets.

    stream   tokens, uint8 up to 256 of them, else uint16; a batch is windows that start anywhere
    rows     the inputs of all rows, then all targets: int16 or float32; a batch is the next rows of a shuffled deck

Numpy only, and no word of where the data came from: the children know no task.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netwright.evaluator.tasks.base import Batch
from netwright.types import TaskSpec

VOCABULARY_MAX = 1 << 15
"""Tokens and targets travel in 16 bits, targets with a sign."""


def pack_rows(batch: Batch, spec: TaskSpec) -> bytes:
    """Return rows as `training_batches` reads them."""
    return batch.inputs.astype(_input_type(spec)).tobytes() + batch.targets.astype(_target_type(spec)).tobytes()


def training_batches(
    spec: TaskSpec, data: memoryview | bytes, *, seed: int, batch_size: int, skip: int = 0
) -> Iterator[Batch]:
    """Yield endless training batches of `batch_size` rows, without the first `skip`: the same for the same seed.

    `data` is what the task's `training_data` returned. Costs well below 3% of a training step.
    """
    return (_windows if spec.feed == "stream" else _decks)(spec, data, seed=seed, batch_size=batch_size, skip=skip)


def windows(tokens: NDArray[Any], starts: NDArray[np.int64], length: int) -> Batch:
    """Cut rows of `length` tokens, each with the token that follows it as its target, (B, length) both."""
    cut = tokens[starts[:, None] + np.arange(length + 1)].astype(np.int32)
    return Batch(np.ascontiguousarray(cut[:, :-1]), np.ascontiguousarray(cut[:, 1:]))


def _windows(spec: TaskSpec, data: memoryview | bytes, *, seed: int, batch_size: int, skip: int) -> Iterator[Batch]:
    tokens = np.frombuffer(data, dtype=np.uint8 if spec.vocab_size <= 256 else np.uint16)
    generator = np.random.default_rng([seed, 1])
    starts = (generator.integers(0, len(tokens) - spec.max_len, size=batch_size) for _ in itertools.count())
    for chosen in itertools.islice(starts, skip, None):
        yield windows(tokens, chosen, spec.max_len)


def _decks(spec: TaskSpec, data: memoryview | bytes, *, seed: int, batch_size: int, skip: int) -> Iterator[Batch]:
    rows = _unpack_rows(data, spec)
    dealt = _deals(len(rows), np.random.default_rng([seed, 2]), batch_size=batch_size, hand=spec.hand)
    for chosen in itertools.islice(dealt, skip, None):
        yield Batch(_widened(rows.inputs[chosen]), _widened(rows.targets[chosen]))


def _deals(rows: int, generator: np.random.Generator, *, batch_size: int, hand: int) -> Iterator[NDArray[np.int64]]:
    """Deal every row once before any is dealt again, `hand` neighbours together."""
    waiting = np.empty(0, dtype=np.int64)
    while True:
        while len(waiting) < batch_size:
            hands = generator.permutation(rows // hand)
            waiting = np.concatenate([waiting, (hands[:, None] * hand + np.arange(hand)).ravel()])
        dealt, waiting = waiting[:batch_size], waiting[batch_size:]
        yield dealt


def _unpack_rows(data: memoryview | bytes, spec: TaskSpec) -> Batch:
    shape = (spec.max_len,) if spec.inputs == "tokens" else spec.input_shape
    positions = spec.answer_shape[0]
    numbers, kind, target = math.prod(shape), _input_type(spec), _target_type(spec)
    count = len(data) // (numbers * kind.itemsize + positions * target.itemsize)
    inputs = np.frombuffer(data, kind, count=count * numbers)
    targets = np.frombuffer(data, target, count=count * positions, offset=inputs.nbytes)
    return Batch(inputs.reshape(count, *shape), targets.reshape(count, positions))


def _widened(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype == np.float32 else values.astype(np.int32)


def _input_type(spec: TaskSpec) -> np.dtype[Any]:
    return np.dtype(np.int16 if spec.inputs == "tokens" else np.float32)


def _target_type(spec: TaskSpec) -> np.dtype[Any]:
    return np.dtype(np.float32 if spec.answers == "number" else np.int16)
