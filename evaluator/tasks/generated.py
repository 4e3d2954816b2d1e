"""Tasks whose rows are drawn from a generator: a deck of training rows, keyed held-out rows, none of them twice.

The deck is public: it comes from the task's name alone and holds twice what the highest rung can use, so that no row
is dealt twice and seeds see different rows. Held-out rows come from the memory's secret key; a row that is in the
deck, or in another split, is drawn again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netwright.errors import DataError
from netwright.evaluator.sizing import mixer_allowance
from netwright.evaluator.tasks.base import UNSCORED, Batch, describe_costs, keyed_generator
from netwright.evaluator.tasks.feed import VOCABULARY_MAX, pack_rows
from netwright.types import Recipe, Rung, Scope, Split, TaskSpec

HAND = 8
DECK_TIMES = 2
DECK_TOKENS_MAX = 1 << 26
"""256 MiB with targets; longer trainings meet rows again."""
TOKENS_PER_SECOND = 45_000
_REDRAWS = 20
_SAMPLED = 256
"""How many rows of each kind stand for what a task draws, in its id."""


class Draw(Protocol):
    """Draws rows of a task; the same for the same state of the generator."""

    def __call__(self, generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
        """Return `rows` rows (rows, spec.max_len); training may mix in easier ones."""
        ...


@dataclass(frozen=True)
class GeneratedTask:
    """A task made by `draw`; `chance_nats` is the loss of knowing only what may be answered."""

    spec: TaskSpec
    draw: Draw
    chance_nats: float
    tokens_per_second: int = TOKENS_PER_SECOND

    def __post_init__(self) -> None:
        """Look at a few rows, so that what cannot be used is told at once, and other rows make another task.

        Raises:
            DataError: `draw` raises, or its rows do not fit the spec.
        """
        if not self.spec.corpus:
            digest = hashlib.sha256()
            for training in (True, False):
                rows = self._drawn(np.random.default_rng(0), _SAMPLED, training=training)
                for values in (rows.inputs, rows.targets, rows.floor_nats):
                    digest.update(b"" if values is None else values.tobytes())
            object.__setattr__(self, "spec", self.spec.model_copy(update={"corpus": digest.hexdigest()}))

    @property
    def details(self) -> str:
        return (
            f"generated; chance is {self.chance_nats:.2f} nats per answer\n"
            f"{len(self._deck):,} training rows, {self.spec.validation_rows} for validation, "
            f"{self.spec.test_rows} for the locked test split\n" + describe_costs(self.spec, self.tokens_per_second)
        )

    @cached_property
    def _deck(self) -> Batch:
        wanted = min(DECK_TIMES * self.spec.rungs[-1].tokens, DECK_TOKENS_MAX)
        public = np.random.default_rng(list(self.spec.name.encode()))
        return self._drawn(public, max(wanted // self.spec.max_len, self.spec.recipe.batch_size), training=True)

    def training_data(self) -> bytes:
        return pack_rows(self._deck, self.spec)

    def held_out(self, split: Split, key: bytes) -> Batch:
        """Return rows that only the key's holder can make, none of which is trained on or in the other split.

        Raises:
            DataError: there are too few different rows.
        """
        known = set(_marks(self._deck))
        validation = self._fresh(Split.VALIDATION, key, known)
        return validation if split is Split.VALIDATION else self._fresh(split, key, known | set(_marks(validation)))

    def _fresh(self, split: Split, key: bytes, known: set[bytes]) -> Batch:
        wanted = self.spec.test_rows if split is Split.TEST else self.spec.validation_rows
        generator = keyed_generator(key, self.spec.name, split.value)
        kept: list[Batch] = []
        met = set(known)
        for _ in range(_REDRAWS):
            drawn = self._drawn(generator, wanted - sum(map(len, kept)), training=False)
            # By mark, so that a row that was drawn twice is kept once.
            new = {mark: place for place, mark in enumerate(_marks(drawn)) if mark not in met}
            met |= set(new)
            kept.append(drawn.rows(np.array(sorted(new.values()), dtype=np.int64)))
            if sum(map(len, kept)) == wanted:
                return _joined(kept)
        raise DataError(
            f"task {self.spec.name!r} has too few different rows: only {sum(map(len, kept))} of {wanted} for "
            f"{split.value} are not trained on already; make rows longer or ask for fewer"
        )

    def _drawn(self, generator: np.random.Generator, rows: int, *, training: bool) -> Batch:
        try:
            batch = self.draw(generator, self.spec, rows, training=training)
            wrong = _what_is_wrong(batch, self.spec, rows)
        # The draw of a user's own task may fail in any way, and return anything.
        except Exception as error:
            raise DataError(f"task {self.spec.name!r}: draw raised {type(error).__name__}: {error}") from error
        if wrong:
            raise DataError(f"task {self.spec.name!r} drew rows that do not fit its spec: {wrong}")
        return Batch(batch.inputs.astype(np.int32), batch.targets.astype(np.int32), batch.floor_nats)


def generated(
    name: str,
    summary: str,
    draw: Draw,
    *,
    vocab_size: int,
    max_len: int,
    chance_nats: float,
    rungs: Iterable[int] = (240_000, 720_000),
    parameters: int = 90_000,
    lr: float = 1e-2,
    batch_size: int = 8,
    tokens_per_second: int = TOKENS_PER_SECOND,
    **fields: Any,
) -> GeneratedTask:
    """Return a task of token rows with the sizes that most small tasks share; `fields` are further ones of TaskSpec.

    Raises:
        ValueError: the sizes make no task.
    """
    fixed = {"feed", "inputs", "num_classes", "input_shape", "corpus"} & fields.keys()
    if fixed:
        raise ValueError(f"{sorted(fixed)[0]} of task {name!r} cannot be chosen: generated rows are tokens")
    spec = {
        "scope": Scope.MIXER,
        "dim": 64,
        "heads": 4,
        "layers": 2,
        "metric": "loss",
        "validation_rows": 256,
        "test_rows": 512,
        "feed": "rows",
        "hand": HAND,
        "recipe": Recipe(lr=lr, batch_size=batch_size),
        "rungs": tuple(Rung(level=level, tokens=tokens) for level, tokens in enumerate(rungs)),
        **fields,
    }
    made = TaskSpec(name=name, summary=summary, vocab_size=vocab_size, max_len=max_len, parameters=parameters, **spec)
    _check_sizes(made)
    return GeneratedTask(made, draw, chance_nats, tokens_per_second)


def _check_sizes(spec: TaskSpec) -> None:
    budgets = [rung.tokens for rung in spec.rungs]
    step = spec.recipe.batch_size * spec.max_len
    for what, value, fine, wanted in (
        ("vocab_size", spec.vocab_size, 2 <= spec.vocab_size <= VOCABULARY_MAX, f"2 to {VOCABULARY_MAX}"),
        ("max_len", spec.max_len, spec.max_len >= 2, "at least 2"),
        ("validation_rows", spec.validation_rows, spec.validation_rows >= 2, "at least 2"),
        ("test_rows", spec.test_rows, spec.test_rows >= 2, "at least 2"),
        ("heads", spec.heads, spec.dim % spec.heads == 0, f"a divisor of dim ({spec.dim})"),
        (
            "answers",
            spec.answers,
            spec.answers == "tokens" or (spec.answers == "code" and spec.scope is not Scope.MODEL),
            "tokens, or code where the backbone decodes (scope mixer or block)",
        ),
        ("parameters", spec.parameters, mixer_allowance(spec) > 0, "more: embedding and head alone take them"),
        (
            "rungs",
            budgets,
            bool(budgets) and budgets == sorted(set(budgets)) and budgets[0] >= step,
            f"rising, from at least one training step ({step:,} tokens)",
        ),
    ):
        if not fine:
            raise ValueError(f"{what} of task {spec.name!r} must be {wanted}, got {value}")


def draw_sizes(
    generator: np.random.Generator, spec: TaskSpec, rows: int, least: int, most: int, *, training: bool
) -> NDArray[np.int64]:
    """Return a size for each row: `most` in held-out rows, log-uniform from `least` to `most` in training.

    Rows of one hand have one size, so that a batch is easy or hard as a whole: mixed within batches, recall was
    discovered later (DeltaNet on `recall`, rung 0, three seeds: 2.94 nats against 1.95). The easy rows shorten the
    plateau before a skill is discovered, which in a short run is otherwise a lottery of seeds. Source of the idea: the
    mixture of difficulties that Zoology trains on (arXiv:2312.04927).
    """
    if not training:
        return np.full(rows, most, dtype=np.int64)
    drawn = np.exp(generator.uniform(math.log(least), math.log(most + 1), size=-(-rows // spec.hand)))
    return np.repeat(np.minimum(drawn.astype(np.int64), most), spec.hand)[:rows]


def by_size(
    sizes: NDArray[np.int64],
    draw: Callable[[int, int], tuple[NDArray[Any], NDArray[Any]]],
) -> Batch:
    """Draw rows of each size together: `draw(rows, size)` returns inputs and targets, both (rows, T)."""
    inputs: NDArray[Any] | None = None
    targets: NDArray[Any] | None = None
    for size in np.unique(sizes):
        places = np.flatnonzero(sizes == size)
        asked, answers = draw(len(places), int(size))
        if inputs is None or targets is None:
            inputs = np.empty((len(sizes), asked.shape[1]), dtype=np.int32)
            targets = np.empty_like(inputs)
        inputs[places], targets[places] = asked, answers
    assert inputs is not None and targets is not None
    return Batch(inputs, targets)


def distinct(generator: np.random.Generator, rows: int, population: int, count: int) -> NDArray[np.int64]:
    """Draw `count` different numbers below `population` for each row, (rows, count)."""
    return np.argsort(generator.random((rows, population)), axis=1)[:, :count]


def places_in_order(generator: np.random.Generator, rows: int, length: int, count: int) -> NDArray[np.int64]:
    """Draw `count` different places below `length` for each row, rising, (rows, count)."""
    return np.sort(distinct(generator, rows, length, count), axis=1)


def _marks(batch: Batch) -> list[bytes]:
    return [row.tobytes() for row in batch.inputs]


def _joined(batches: list[Batch]) -> Batch:
    floors = [batch.floor_nats for batch in batches if batch.floor_nats is not None]
    return Batch(
        np.concatenate([batch.inputs for batch in batches]),
        np.concatenate([batch.targets for batch in batches]),
        np.concatenate(floors) if floors else None,
    )


def _what_is_wrong(batch: Batch, spec: TaskSpec, rows: int) -> str:
    shape = (rows, spec.max_len)
    if not isinstance(batch, Batch):
        return f"draw returned {type(batch).__name__}, expected a Batch"
    floor = batch.floor_nats
    if floor is not None and (floor.shape != shape or not np.isfinite(floor).all()):
        return f"floor_nats is of shape {floor.shape}, expected finite numbers of shape {shape}"
    for name, values in (("inputs", batch.inputs), ("targets", batch.targets)):
        if values.shape != shape or not np.issubdtype(values.dtype, np.integer):
            return f"{name} are {values.dtype} of shape {values.shape}, expected integers of shape {shape}"
    scored = batch.targets[batch.targets != UNSCORED]
    for name, values in (("inputs", batch.inputs), ("targets", scored)):
        if values.size and not (0 <= values.min() and values.max() < spec.vocab_size):
            return f"{name} reach from {values.min()} to {values.max()}, the vocabulary is 0 to {spec.vocab_size - 1}"
    return "" if scored.size else f"no position is scored: every target is {UNSCORED}"
