"""Which node earns a training at a higher rung: asynchronous successive halving with a budget.

Source: Li et al. (2020), A System for Massively Parallel Hyperparameter Tuning (ASHA), MLSys; algorithm 2.
Changed in three ways: a share of the compute bounds the promotions, results within one standard error of the
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
    """Promote the best `1 / eta` of a rung while promotions are at most `share` of the compute of all actions.

    `prices` are what a training at each rung costs, in any unit; a new design is trained at rung 0.
    """

    prices: tuple[float, ...]
    share: float
    eta: int = 3
    baselines: int = 2

    def choose(self, state: TreeState, index: int) -> Action | None:
        """Return the promotion due now, the highest rung first, or None. A pure function of the state."""
        for rung in range(state.rungs - 1, 0, -1):
            node = self._candidate(state, rung - 1)
            if node is not None:
                # One that is too dear is saved up for: cheaper ones in its place would put it off for ever.
                affordable = self._affordable(state, rung)
                return Action(index=index, kind="promote", parents=(node,), rung=rung) if affordable else None
        return None

    def _affordable(self, state: TreeState, rung: int) -> bool:
        expanding = self.prices[0] * (state.asks - state.promotions.total())
        promoting = self.prices[rung] + sum(self.prices[to] * count for to, count in state.promotions.items())
        # The small tolerance makes 3 of 20 exactly 15%, whatever the rounding.
        return promoting <= (self.share + 1e-9) * (expanding + promoting)

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
