"""Policy `random`: every action a fresh draft. The control that any search must beat.

Source: Li & Talwalkar (2019), Random Search and Reproducibility for Neural Architecture Search, UAI.
"""

from __future__ import annotations

from collections.abc import Mapping

from netwright.search.policy import NodeStatistics, Observation, Sketcher, no_sketches
from netwright.search.promotion import PromotionRule
from netwright.search.tree_state import TreeState
from netwright.types import Action, Operator, Structure


class RandomPolicy:
    """Drafts, and the promotions that every policy makes."""

    def __init__(self, *, seed: int, rungs: int, promotions: float = 0.15) -> None:
        self._seed = seed
        self._state = TreeState(rungs)
        self._rule = PromotionRule(share=promotions)

    def ask(self, index: int, sketch: Sketcher = no_sketches) -> Action:
        action = self._rule.choose(self._state, index)
        if action is None:
            action = Action(index=index, kind="expand", operator=Operator.DRAFT)
        self._state.record_ask(action)
        return action

    def resume(self, action: Action, structure: Structure | None = None) -> None:
        self._state.record_ask(action)

    def tell(self, observation: Observation) -> None:
        self._state.record_tell(observation)

    def node_statistics(self) -> Mapping[int, NodeStatistics]:
        return statistics_of(self._state)


def statistics_of(state: TreeState) -> Mapping[int, NodeStatistics]:
    """Visits and own standing of every node, for policies that value a node by itself."""
    view = state.subtrees()
    return {
        node: NodeStatistics(visits=int(visits), value=float(standing))
        for node, visits, standing in zip(state.order, view.visits, view.standing, strict=True)
    }
