"""`automata`: in-context language learning. Every row is a few words of a language made up for it.

    an automaton   state 0: a -> 2, f -> 1     state 1: c -> 0     state 2: a -> 1, b -> 2, c -> 0
    inputs         f c a b b | a a c f ...     words of a random walk from state 0, `|` between them
    targets        c a b b . a a c f . ...     scored: letters; where a word ends cannot be known

Each state leads on by one to four letters, equally likely, each to a state of its own choice. Who has understood the
automaton by the row's context reaches the entropy of the walk and nothing less; `excess_nats` is what remains.

Source: Akyürek et al. 2024, "In-Context Language Learning: Architectures and Algorithms" (arXiv:2401.12973), section
3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.evaluator.tasks.generated import GeneratedTask, generated
from netwright.types import TaskSpec

LETTERS, STATES, DEGREE = 12, 6, 4
SHORTEST, LONGEST = 6, 12
"""Letters of a word."""
SUMMARIES = {"automata": "in-context language learning on random automata (nats per letter)"}


def automata() -> GeneratedTask:
    return generated(
        "automata",
        SUMMARIES["automata"],
        _draw,
        vocab_size=LETTERS + 1,
        max_len=96,
        chance_nats=math.log(LETTERS),
        options={"letters": LETTERS, "states": STATES, "degree": DEGREE, "word": [SHORTEST, LONGEST]},
    )


TASKS: Mapping[str, Callable[[], GeneratedTask]] = {"automata": automata}


def _draw(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    options, length = spec.options, spec.max_len + 1
    letters, states, most = options["letters"], options["states"], options["degree"]
    degrees = generator.integers(1, most + 1, size=(rows, states))
    # The letters that leave a state differ, so the automaton is deterministic.
    labels = np.argsort(generator.random((rows, states, letters)), axis=2)[:, :, :most]
    leads_to = generator.integers(0, states, size=(rows, states, most))
    every = np.arange(rows)
    tokens, floor = np.empty((rows, length), dtype=np.int64), np.zeros((rows, length), dtype=np.float32)
    state, left = np.zeros(rows, dtype=np.int64), _word_lengths(generator, spec, rows)
    for place in range(length):
        ends = left == 0
        edge = (generator.random(rows) * degrees[every, state]).astype(np.int64)
        tokens[:, place] = np.where(ends, letters, labels[every, state, edge])
        floor[:, place] = np.where(ends, 0.0, np.log(degrees[every, state]))
        state = np.where(ends, 0, leads_to[every, state, edge])
        left = np.where(ends, _word_lengths(generator, spec, rows), left - 1)
    targets = np.where(tokens[:, 1:] == letters, UNSCORED, tokens[:, 1:])
    return Batch(tokens[:, :-1], targets, floor[:, 1:])


def _word_lengths(generator: np.random.Generator, spec: TaskSpec, rows: int) -> np.ndarray:
    shortest, longest = spec.options["word"]
    return generator.integers(shortest, longest + 1, size=rows)
