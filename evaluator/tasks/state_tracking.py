"""State tracking: carry a state that every token changes. `parity`, and the word problems `s3` and `s5`.

    parity   inputs   1 0 1 1 0      targets  1 1 0 1 1           how many ones so far, odd or even
    s3, s5   inputs   g1 g2 g3       targets  g1 g1g2 g1g2g3      the product of all permutations so far

Every position is scored. The permutations of five things are seven that generate all others: the identity, the swaps of
neighbours, and both turns by one. A linear recurrence with positive, diagonal transitions cannot do parity or the
permutations of three things at any length. Those of five (no solvable group) take a recurrence that is not diagonal,
and are beyond attention of a fixed depth unless TC0 = NC1. In a short training, what has been learned so far counts
more.

Source: Merrill, Petty & Sabharwal 2024, "The Illusion of State in State-Space Models" (arXiv:2404.08819), section 5;
Grazzi et al. 2024, "Unlocking State-Tracking in Linear RNNs Through Negative Eigenvalues" (arXiv:2411.12537).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from netwright.evaluator.tasks.base import Batch
from netwright.evaluator.tasks.generated import GeneratedTask, generated
from netwright.types import TaskSpec

LENGTH = 32
THINGS = {"parity": 2, "s3": 3, "s5": 5}
SUMMARIES = {
    "parity": "state tracking: is the number of ones so far odd? (nats per position)",
    "s3": "state tracking: the running product of permutations of three things (nats per position)",
    "s5": "state tracking: the running product of permutations of five things (nats per position)",
}


def state_tracking(name: str) -> GeneratedTask:
    """Return the word problem of the symmetric group of so many things; parity is that of two."""
    things = THINGS[name]
    order = math.factorial(things)
    return generated(
        name,
        SUMMARIES[name],
        _draw,
        vocab_size=order,
        max_len=LENGTH,
        chance_nats=_chance(things),
        batch_size=512 // LENGTH,
        options={"things": things, "drawn": drawn_from(things)},
    )


TASKS: Mapping[str, Callable[[], GeneratedTask]] = {name: partial(state_tracking, name) for name in THINGS}


def drawn_from(things: int) -> list[int]:
    """Return the numbers of the permutations that rows are made of: all of two or three things, seven of more."""
    number = {permutation: place for place, permutation in enumerate(itertools.permutations(range(things)))}
    if things <= 3:
        return list(number.values())
    still = tuple(range(things))
    swaps = [(*still[:i], i + 1, i, *still[i + 2 :]) for i in range(things - 1)]
    return sorted(number[each] for each in (still, *swaps, (*still[1:], 0), (things - 1, *still[:-1])))


def _chance(things: int) -> float:
    """Return the mean entropy of the state for who knows the position alone, in nats."""
    table, drawn = products(things), drawn_from(things)
    chances = np.zeros(len(table))
    chances[0], entropies = 1.0, []
    for _ in range(LENGTH):
        after = [np.bincount(table[:, token], weights=chances, minlength=len(table)) for token in drawn]
        chances = np.mean(after, axis=0)
        met = chances[chances > 0]
        entropies.append(-float((met * np.log(met)).sum()))
    return sum(entropies) / len(entropies)


@cache
def products(things: int) -> NDArray[np.int64]:
    """Return the table of the symmetric group: row a, column b is "a, then b"; permutations in lexical order."""
    permutations = list(itertools.permutations(range(things)))
    number = {permutation: place for place, permutation in enumerate(permutations)}
    return np.array([[number[tuple(b[i] for i in a)] for b in permutations] for a in permutations])


def _draw(generator: np.random.Generator, spec: TaskSpec, rows: int, *, training: bool) -> Batch:
    table = products(spec.options["things"])
    inputs = generator.choice(spec.options["drawn"], size=(rows, spec.max_len))
    states = np.empty_like(inputs)
    state = np.zeros(rows, dtype=np.int64)
    for place in range(spec.max_len):
        state = states[:, place] = table[state, inputs[:, place]]
    return Batch(inputs, states)
