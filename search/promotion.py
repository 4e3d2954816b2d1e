"""Which node earns a training at a higher rung: asynchronous successive halving with a budget.

Source: Li et al. (2020), A System for Massively Parallel Hyperparameter Tuning (ASHA), MLSys; algorithm 2.
Changed in three ways: a share of all actions bounds the promotions, results within one standard error of the
cut count as at the cut, and the best baselines are always taken along, because a winner is compared with them
at its own rung.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netwright.search.tree_state import TreeState
from netwright.types import Action


@dataclass(frozen=True, kw_only=True)
class PromotionRule:
    """Promote the best `1 / eta` of a rung while promotions are at most `share` of all actions."""

    share: float
    eta: int = 3
    baselines: int = 2

    def choose(self, state: TreeState, index: int) -> Action | None:
        """Return the promotion due now, the highest rung first, or None. A pure function of the state."""
        # The small tolerance makes 3 of 20 exactly 15%, whatever the rounding.
        if state.promotions + 1 > self.share * (state.asks + 1) + 1e-9:
            return None
        for rung in range(state.rungs - 2, -1, -1):
            node = self._candidate(state, rung)
            if node is not None:
                return Action(index=index, kind="promote", parents=(node,), rung=rung + 1)
        return None

    def _candidate(self, state: TreeState, rung: int) -> int | None:
        table = state.tables[rung]
        quota = len(table) // self.eta
        if quota == 0:
            return None
        above = reached(state, rung + 1)
        order = np.argsort(-table.values, kind="stable")
        waiting = [int(place) for place in order if table.nodes[place] not in above]
        if self._owes_baseline(above):
            for place in waiting:
                if table.nodes[place] < 0:
                    return table.nodes[place]
        cut = table.values[order[quota - 1]]
        for place in waiting:
            if table.values[place] + table.errors[place] >= cut:
                return table.nodes[place]
        return None

    def _owes_baseline(self, above: dict[int, bool]) -> bool:
        """Tell whether a design has gone up, but fewer baselines than promised (those on their way count)."""
        designs = any(node >= 0 and good for node, good in above.items())
        return designs and sum(node < 0 and good for node, good in above.items()) < self.baselines


def reached(state: TreeState, rung: int) -> dict[int, bool]:
    """Nodes trained, failed or in training at `rung`; False for the failed."""
    reached = dict.fromkeys(state.failed[rung], False) | dict.fromkeys(state.tables[rung].nodes, True)
    for action in state.pending.values():
        if action.kind == "promote" and action.rung == rung:
            reached[action.parents[0]] = True
    return reached
