from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from netwright.search.policy import Observation, Policy, Sketch, no_sketches
from netwright.types import Action, Operator, Structure

Genes = tuple[int, ...]


@dataclass
class Landscape:
    """A pure function over strings of 10 letters out of 5: additive effects plus interactions of neighbours.

    draft samples a string, refine changes one letter, combine crosses two, simplify sets a letter to 0. A
    string that was seen before is a duplicate and gets no value.
    """

    seed: int
    scale: float = 1.0
    offset: float = 0.0
    failures: Callable[[int], bool] = lambda _: False
    shown: int = 64
    legible: bool = True
    genes: dict[int, Genes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng([77, self.seed])
        self._single = rng.normal(0.0, 1.0, (10, 5))
        self._double = rng.normal(0.0, 0.7, (9, 5, 5))

    def value(self, genes: Genes) -> float:
        single = sum(float(self._single[place, gene]) for place, gene in enumerate(genes))
        pairs = zip(genes, genes[1:], strict=False)
        return single + sum(float(self._double[place, a, b]) for place, (a, b) in enumerate(pairs))

    def propose(self, action: Action) -> Genes:
        return next(itertools.islice(self._proposals(action), action.draw, None))

    def sketch(self, action: Action, count: int) -> list[Sketch]:
        """Up to `count` strings, and no more than `shown`, that the action could become and nobody has."""
        known, shown, count = set(self.genes.values()), {}, min(count, self.shown)
        for draw, genes in enumerate(itertools.islice(self._proposals(action), 2 * count)):
            if genes not in known and len(shown) < count:
                shown.setdefault(genes, Sketch(draw, self.structure(genes)))
        return list(shown.values())

    def _proposals(self, action: Action) -> Iterator[Genes]:
        """What the action could become, without end; draw 0 comes first."""
        rng = np.random.default_rng([78, self.seed, action.index])
        parents = [self.genes[parent] for parent in action.parents]
        while True:
            if action.operator is Operator.DRAFT or not parents:
                yield tuple(rng.integers(5, size=10).tolist())
            elif action.operator is Operator.COMBINE:
                mask = rng.random(10) < 0.5
                yield tuple(a if keep else b for a, b, keep in zip(*parents, mask, strict=True))
            else:
                place = int(rng.integers(10))
                other = int(parents[0][place] + rng.integers(1, 5)) % 5
                letter = 0 if action.operator is Operator.SIMPLIFY else other
                yield (*parents[0][:place], letter, *parents[0][place + 1 :])

    @staticmethod
    @cache
    def structure(genes: Genes) -> Structure:
        return Structure(choices={f"place {place}": f"letter {gene}" for place, gene in enumerate(genes)})

    def answer(self, action: Action) -> Observation:
        if action.kind == "promote":
            node = action.parents[0]
            # A longer training is better by itself: values of two rungs must not be mixed.
            longer = 100.0 + self.value(self.genes[node])
            return self._observe(action, node, longer, action.rung)
        genes = self.propose(action)
        if genes in self.genes.values():
            return Observation(action=action, node=action.index, value=None, repairable=False)
        self.genes[action.index] = genes
        return self._observe(action, action.index, self.value(genes), 0)

    def _observe(self, action: Action, node: int, value: float, rung: int) -> Observation:
        failed = self.failures(action.index)
        return Observation(
            action=action,
            node=node,
            value=None if failed else self.scale * value + self.offset,
            standard_error=0.05 * self.scale,
            rung=rung,
            structure=self.structure(self.genes[node]) if self.legible else None,
        )


@dataclass
class Played:
    """What was asked and told, in order, and the structures of the sketches that were chosen, by action."""

    actions: list[Action]
    observations: list[Observation]
    log: list[Action | Observation]
    chosen: dict[int, Structure]


@pytest.fixture(scope="session")
def play() -> Callable[..., Played]:
    """Run a policy on a landscape with `flight` asks unanswered, answered out of order.

    Where it is `sketched`, the planner shows what an action could become, and structures are told.
    """

    def run(policy: Policy, land: Landscape, asks: int, flight: int = 1, *, sketched: bool = False) -> Played:
        played = Played([], [], [], {})
        waiting: list[Action] = []
        rng = np.random.default_rng([79, land.seed])
        shown: dict[tuple[Operator | None, tuple[int, ...], int], Structure] = {}

        def sketch(action: Action, count: int) -> list[Sketch]:
            found = land.sketch(action, count)
            shown.update({(action.operator, action.parents, one.draw): one.structure for one in found})
            return found

        land.legible = sketched
        for index in range(asks):
            shown.clear()
            action = policy.ask(index, sketch if sketched else no_sketches)
            if structure := shown.get((action.operator, action.parents, action.draw)):
                played.chosen[index] = structure
            played.actions.append(action)
            played.log.append(action)
            waiting.append(action)
            if len(waiting) >= flight:
                observation = land.answer(waiting.pop(int(rng.integers(len(waiting)))))
                policy.tell(observation)
                played.observations.append(observation)
                played.log.append(observation)
        return played

    return run


@pytest.fixture(scope="session")
def landscape() -> type[Landscape]:
    return Landscape
