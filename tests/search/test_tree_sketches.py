"""The tree search where the planner can show what an action would become."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from netwright.search.policy import Observation, Sketch, no_sketches
from netwright.search.tree import TreePolicy, TreeSettings
from netwright.types import Action, Operator, Structure

Genes = tuple[int, ...]


@dataclass
class Planner:
    """Sketches strings of 8 letters out of 4, every one new; their value is a sum over letters and neighbours."""

    seed: int = 0
    genes: dict[int, Genes] = field(default_factory=dict)
    seen: set[Genes] = field(default_factory=set)
    shown: list[list[Genes]] = field(default_factory=list)

    def value(self, genes: Genes) -> float:
        rng = np.random.default_rng([5, self.seed])
        single, double = rng.normal(size=(8, 4)), 0.5 * rng.normal(size=(7, 4, 4))
        return float(single[range(8), genes].sum() + double[range(7), genes[:-1], genes[1:]].sum())

    def sketch(self, action: Action, count: int) -> Sequence[Sketch]:
        found = self._vary(action, count)
        self.shown.append(found)
        return [Sketch(draw, structure(genes)) for draw, genes in enumerate(found)]

    def chosen(self, action: Action) -> Genes:
        return self._vary(action, 1 + action.draw)[action.draw]

    def _vary(self, action: Action, count: int) -> list[Genes]:
        rng = np.random.default_rng([6, self.seed, action.index, *action.parents])
        parents = [np.array(self.genes[parent]) for parent in action.parents]
        found: dict[Genes, None] = {}
        for _ in range(40):
            if not parents:
                genes = rng.integers(4, size=8)
            elif len(parents) == 2:
                genes = np.where(rng.random(8) < 0.5, *parents)
            else:
                genes = parents[0].copy()
                genes[rng.integers(8)] = rng.integers(4)
            found[tuple(int(gene) for gene in genes)] = None
        new = [genes for genes in found if genes not in self.seen][:count]
        return new or [tuple(int(gene) for gene in rng.integers(4, size=8))]

    def result(self, action: Action, genes: Genes) -> Observation:
        self.genes[action.index] = genes
        return Observation(action=action, node=action.index, value=self.value(genes), structure=structure(genes))


def structure(genes: Genes) -> Structure:
    return Structure(
        choices={f"place {place}": str(gene) for place, gene in enumerate(genes)},
        counts={f"run:{a}>{b}": 1.0 for a, b in zip(genes, genes[1:], strict=False)},
    )


def policy(seed: int = 0, **settings: object) -> TreePolicy:
    return TreePolicy(seed=seed, prices=[1.0], settings=TreeSettings(**settings))


Log = list[tuple[Action, Observation | None]]


def searched(tree: TreePolicy, planner: Planner, asks: int, flight: int = 1) -> tuple[Log, dict[int, Genes]]:
    """Play, answering the oldest first; the log has an ask without, and a tell with, its observation."""
    log: Log = []
    flown: dict[int, Genes] = {}
    waiting: list[tuple[Action, Genes]] = []
    for index in range(asks):
        action = tree.ask(index, planner.sketch)
        genes = planner.chosen(action)
        planner.seen.add(genes)
        flown[index] = genes
        log.append((action, None))
        waiting.append((action, genes))
        if len(waiting) == flight:
            observation = planner.result(*waiting.pop(0))
            tree.tell(observation)
            log.append((observation.action, observation))
    return log, flown


def best_of(tree: TreePolicy, planner: Planner, asks: int) -> float:
    log, _ = searched(tree, planner, asks)
    return max(observation.value for _, observation in log if observation is not None)


def test_a_search_that_looks_at_sketches_finds_more_than_one_that_does_not():
    gains = [
        best_of(policy(seed), Planner(seed), 40) - best_of(policy(seed, model=None), Planner(seed), 40)
        for seed in range(6)
    ]

    assert np.mean(gains) > 0.0


def test_a_chosen_sketch_is_named_by_its_draw():
    tree, planner = policy(), Planner()

    log, _ = searched(tree, planner, 30)

    assert any(action.draw > 0 for action, _ in log)


def test_a_search_that_goes_on_from_its_log_chooses_as_the_one_that_was_never_interrupted():
    tree, planner = policy(3), Planner(3)
    log, flown = searched(tree, planner, 40, flight=3)

    again = policy(3)
    for action, observation in log:
        if observation is None:
            again.resume(action, structure(flown[action.index]))
        else:
            again.tell(observation)

    assert again.node_statistics() == tree.node_statistics()
    assert again.ask(40, planner.sketch) == tree.ask(40, planner.sketch)


def test_designs_in_flight_are_not_looked_for_again():
    def spread(flight: int) -> float:
        tree, planner = policy(1), Planner(1)
        searched(tree, planner, 25)
        chosen = []
        for index in range(25, 25 + flight):
            action = tree.ask(index, planner.sketch)
            chosen.append(planner.chosen(action))
        return float(np.mean([sum(a != b for a, b in zip(x, y, strict=True)) for x in chosen for y in chosen]))

    assert spread(8) > 1.0


def test_the_first_designs_differ_more_than_chance_would_have_them():
    def fewest_differences(**settings: object) -> float:
        tree, planner = policy(2, **settings), Planner(2)
        genes = [planner.chosen(tree.ask(index, planner.sketch)) for index in range(8)]
        return float(
            np.mean([min(sum(a != b for a, b in zip(x, y, strict=True)) for y in genes if y != x) for x in genes])
        )

    assert fewest_differences() >= fewest_differences(model=None) + 1.0


def test_a_stagnating_search_looks_now_and_then_where_it_knows_least():
    near = [(0, 0, 0, 0, 0, 0, first, second) for first in range(4) for second in range(4)]
    far = (3,) * 8

    def sketch(action: Action, count: int) -> Sequence[Sketch]:
        return [Sketch(draw, structure(genes)) for draw, genes in enumerate([*near[12:], far])]

    def chosen(stagnation: int) -> list[int]:
        tree = policy(stagnation=stagnation, novelty=4)
        for index, genes in enumerate(near[:12]):
            action = Action(index=index, kind="expand", operator=Operator.DRAFT)
            tree.resume(action, structure(genes))
            # The first is the best, and what is near to it is nearly as good.
            value = 1.0 - 0.001 * index
            tree.tell(Observation(action=action, node=index, value=value, structure=structure(genes)))
        tree.tell(Observation(action=None, node=-1, value=-50.0, structure=structure((3, 3, 3, 3, 3, 3, 3, 0))))
        return [tree.ask(index, sketch).draw for index in range(12, 16)]

    assert chosen(stagnation=5)[0] == 4
    assert 4 not in chosen(stagnation=100)


def test_without_sketches_the_search_goes_on_as_a_tree():
    tree = policy()
    for index in range(40):
        action = tree.ask(index, no_sketches)
        tree.tell(Observation(action=action, node=index, value=float(index % 7), structure=structure((index % 4,) * 8)))

    assert tree.node_statistics()[39].visits == 1


def test_a_model_that_foretells_worse_than_chance_is_asked_no_more():
    tree, planner = policy(2), Planner(2)
    for index in range(60):
        action = tree.ask(index, planner.sketch)
        genes = planner.chosen(action)
        planner.seen.add(genes)
        planner.genes[index] = genes
        # The more the model expects of a design the less it gets.
        tree.tell(Observation(action=action, node=index, value=-float(index), structure=structure(genes)))
        if not tree.calibration.trusted:
            break

    assert not tree.calibration.trusted
    planner.shown.clear()
    tree.ask(100, planner.sketch)
    assert len(planner.shown) == 1


@pytest.mark.parametrize("shown", [0, 1])
def test_a_planner_with_nothing_or_one_thing_to_show_is_enough(shown):
    tree, planner = policy(), Planner()
    for index in range(30):
        action = tree.ask(index, lambda action, count: list(planner.sketch(action, count))[:shown])
        genes = planner.chosen(action)
        planner.seen.add(genes)
        tree.tell(planner.result(action, genes))

    assert len(tree.node_statistics()) == 30


def test_failures_and_ties_leave_the_model_in_its_senses():
    tree, planner = policy(), Planner()
    for index in range(40):
        action = tree.ask(index, planner.sketch)
        genes = planner.chosen(action)
        planner.seen.add(genes)
        planner.genes[index] = genes
        value = None if index % 3 == 0 else 1.0
        tree.tell(Observation(action=action, node=index, value=value, structure=structure(genes), repairable=False))

    assert tree.ask(40, planner.sketch).operator in set(Operator)
