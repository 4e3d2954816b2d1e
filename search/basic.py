"""What most policies do alike: bookkeeping and promotions. One of them then only says how it expands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from netwright.search.faults import fault
from netwright.search.policy import PROMOTIONS, NodeStatistics, Observation, Preferences, Sketcher, no_sketches
from netwright.search.promotion import PromotionRule
from netwright.search.tree_state import TreeState
from netwright.types import Action, Operator, Structure

VARIATION: Mapping[Operator, float] = {Operator.REFINE: 0.7, Operator.COMBINE: 0.2, Operator.SIMPLIFY: 0.1}
"""How often each operator varies a design, for policies that do not learn it."""


def draft(index: int) -> Action:
    """Return the action of making a new design from nothing."""
    return Action(index=index, kind="expand", operator=Operator.DRAFT)


def expansion(index: int, operator: Operator, *parents: int) -> Action:
    """Return the action of making a design from one parent, or two for `combine`."""
    return Action(index=index, kind="expand", operator=operator, parents=parents)


def variation(rng: np.random.Generator) -> Operator:
    """Draw an operator with the probabilities of `VARIATION`."""
    return list(VARIATION)[rng.choice(len(VARIATION), p=list(VARIATION.values()))]


class BasicPolicy(ABC):
    """A `Policy` whose choices are those of `expand`, and that promotes by the rule of all policies.

    `state` holds what was asked and told. `structures` holds what the design of each node is made of, where it is
    known; that of a node in flight is its sketch's.
    """

    def __init__(self, *, seed: int, prices: Sequence[float], promotions: float = PROMOTIONS) -> None:
        self.state = TreeState(len(prices))
        self.structures: dict[int, Structure] = {}
        self._seed = seed
        self._rule = PromotionRule(prices=tuple(prices), share=promotions)

    @abstractmethod
    def expand(self, index: int, rng: np.random.Generator, sketch: Sketcher) -> Action:
        """Return action `index`, which makes a new design: `draft`, or `expansion` of known nodes with a result.

        `rng` comes from (seed, index) alone. Where a sketch is chosen, the action names its `draw`, and the
        sketch's structure goes to `structures[index]`; else the first sketch is taken, if there is any.
        """

    def ask(self, index: int, sketch: Sketcher = no_sketches) -> Action:
        rng = np.random.default_rng([self._seed, index])
        action = self._rule.choose(self.state, index) or self.expand(index, rng, sketch)
        if complaint := fault(self.state, index, action):
            raise ValueError(f"expand({index}) returned {complaint}")
        if action.kind == "expand" and action.draw == 0 and index not in self.structures:
            action = self._first_sketched(action, sketch)
        self.state.record_ask(action)
        return action

    def _first_sketched(self, action: Action, sketch: Sketcher) -> Action:
        """Take the first sketch, which is new to the campaign, where `expand` chose none."""
        first = next(iter(sketch(action, 1)), None)
        if first is None:
            return action
        self.structures[action.index] = first.structure
        return action.model_copy(update={"draw": first.draw})

    def resume(self, action: Action, structure: Structure | None = None) -> None:
        self.state.record_ask(action)
        if structure is not None:
            self.structures[action.index] = structure

    def tell(self, observation: Observation) -> None:
        self.state.record_tell(observation)
        if observation.structure is not None:
            self.structures[observation.node] = observation.structure

    def node_statistics(self) -> Mapping[int, NodeStatistics]:
        """Visits and own standing of every node."""
        view = self.state.subtrees()
        return {
            node: NodeStatistics(visits=int(visits), value=float(standing))
            for node, visits, standing in zip(self.state.order, view.visits, view.standing, strict=True)
        }

    def preferences(self) -> Preferences:
        """None: the planner draws as it would by itself."""
        return {}
