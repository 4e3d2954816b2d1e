"""Which known design to grow, and how: the tree's part of a choice. The equations are in docs/search.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwright.search.archive import Archive
from netwright.search.operators import OperatorBandit
from netwright.search.standings import Floats
from netwright.search.tree_state import Node, Subtrees, TreeState
from netwright.types import Operator

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """The constants of the tree. Weights of own standing, best and mean of the subtree sum to 1.

    `widening`, `widening_power`: children allowed are
    `widening * (1/4 + standing) * visits ** widening_power`. `patience`: failed children in a row that close
    a node. `stagnation`: experiments without a new best after which draft, combine and promotion begin to count more.
    `tune_share`: bound on recipe-only actions. `partners`: best nodes considered as a second parent, besides the best
    of every kind. `bandit`: whether operators are chosen by what they bought, or by the priors alone.
    """

    own: float = 0.6
    best: float = 0.2
    mean: float = 0.2
    exploration: float = 0.25
    widening: float = 4.0
    widening_power: float = 0.6
    patience: int = 4
    first_drafts: int = 6
    stagnation: int = 30
    tune_share: float = 0.08
    partners: int = 24
    bandit: bool = True


class Choice(NamedTuple):
    """An operator and the nodes it starts from."""

    operator: Operator
    parents: tuple[int, ...] = ()


def worth_as_parent(view: Subtrees, settings: SelectionSettings) -> Floats:
    """Worth as a parent in [0, 1], `(n,)`; work in flight counts as visits that brought nothing."""
    mean = view.total / (view.visits + view.flight)
    return np.asarray(settings.own * view.standing + settings.best * view.best + settings.mean * mean)


class Selection:
    """The choices open in one state of the tree. Each choice made here counts as work in flight for the next.

    `archive` knows of what kind the nodes are. `foreseen` is the standing that a model expects of nodes; a node's own
    counts half then.
    """

    def __init__(
        self,
        state: TreeState,
        settings: SelectionSettings,
        bandit: OperatorBandit,
        archive: Archive,
        rng: np.random.Generator,
        foreseen: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
        self._state = state
        self._settings = settings
        self._bandit = bandit
        self._archive = archive
        self._rng = rng
        self._view = state.subtrees()
        self._foreseen = foreseen
        self._tried = np.array([node.children + node.in_flight for node in state.in_order], dtype=float)

    def choose(self) -> Choice:
        """Return an operator and its parents."""
        room = self._room()
        operator = self._operator(room)
        if operator is Operator.DRAFT:
            return Choice(operator)
        if operator is Operator.REPAIR:
            return Choice(operator, (self._most_promising_failure().id,))
        if operator in (Operator.SIMPLIFY, Operator.TUNE):
            room &= self._rested[operator]
        place = pick_best(self._rng, np.where(room, self._scores(), -np.inf))
        self._tried[place] += 1.0
        parent = self._state.order[place]
        if operator is Operator.COMBINE:
            return Choice(operator, (parent, self._partner(parent)))
        return Choice(operator, (parent,))

    def _scores(self) -> Floats:
        """Upper confidence bound on each node's worth, `(n,)`."""
        bonus = np.sqrt(np.log1p(len(self._tried)) / (1.0 + self._tried))
        return np.asarray(self._worth + self._settings.exploration * bonus)

    def _room(self) -> Bools:
        """Open nodes with fewer children than progressive widening allows, `(n,)`."""
        return np.asarray(self._open & (self._tried < self._limit))

    @cached_property
    def _worth(self) -> Floats:
        standing = self._view.standing
        foreseen = np.array(
            [self._foreseen.get(node, own) for node, own in zip(self._state.order, standing, strict=True)]
        )
        return worth_as_parent(self._view, self._settings) + 0.5 * self._settings.own * (foreseen - standing)

    @cached_property
    def _limit(self) -> Floats:
        s, view = self._settings, self._view
        return np.floor(np.maximum(1.0, s.widening * (0.25 + view.standing) * view.visits**s.widening_power))

    @cached_property
    def _open(self) -> Bools:
        """With a result, and not closed by failures."""
        patience = self._settings.patience
        return np.array([node.alive and node.failures < patience for node in self._state.in_order], dtype=bool)

    @cached_property
    def _rested(self) -> dict[Operator, Bools]:
        """Nodes that were not yet tried with an operator that is worth trying once, `(n,)` each."""
        nodes = self._state.in_order
        return {
            operator: np.array([node.asked[operator] == 0 and node.operator is not operator for node in nodes], bool)
            for operator in (Operator.SIMPLIFY, Operator.TUNE)
        }

    def _operator(self, room: Bools) -> Operator:
        s, state = self._settings, self._state
        available = self._available(room)
        young = state.asked[Operator.DRAFT] < s.first_drafts
        if available == {Operator.DRAFT} or (young and self._rng.random() < 0.75):
            return Operator.DRAFT
        return self._bandit.choose(self._rng, available, novelty=self._novelty)

    def prefers_promotion(self, price: float) -> bool:
        """Tell whether a promotion promises more per compute than any operator; `price` is in new designs."""
        in_flight = sum(action.kind == "promote" for action in self._state.pending.values())
        available = self._available(self._room())
        return self._bandit.promotes(self._rng, available, self._novelty, price=price, in_flight=in_flight)

    @property
    def _novelty(self) -> float:
        return min(3.0, max(1.0, self._state.since_best / self._settings.stagnation))

    def _available(self, room: Bools) -> set[Operator]:
        available = {Operator.DRAFT}
        if room.any():
            available |= {Operator.REFINE}
            if np.count_nonzero(self._view.standing) > 1:
                available |= {Operator.COMBINE}
            if (room & self._rested[Operator.SIMPLIFY]).any():
                available |= {Operator.SIMPLIFY}
            if self._may_tune() and (room & self._rested[Operator.TUNE]).any():
                available |= {Operator.TUNE}
        if self._state.unrepaired:
            available |= {Operator.REPAIR}
        return available

    def _partner(self, parent: int) -> int:
        """Draw a good node of other ancestry and of another kind.

        Among the best of all and the best of every kind, in proportion to
        `standing ** 2 * (0.1 + distance) / 4 ** times combined before`, where the distance is the mean of the Jaccard
        distance of the ancestries and that of the kinds.
        """
        family = self._state.ancestry(parent)
        pool = [node for node in self._pool if node != parent]
        weights = np.empty(len(pool))
        for row, node in enumerate(pool):
            kin = self._state.ancestry(node)
            descent = 1.0 - len(family & kin) / len(family | kin)
            difference = 0.5 * (descent + self._archive.distance(parent, node))
            repeats = self._state.times_combined(parent, node)
            weights[row] = self._standings[node] ** 2 * (0.1 + difference) * 0.25**repeats
        return pool[int(self._rng.choice(len(pool), p=weights / weights.sum()))]

    @cached_property
    def _standings(self) -> dict[int, float]:
        """Standings of the nodes with a result."""
        standing = self._view.standing.tolist()
        return {node: own for node, own in zip(self._state.order, standing, strict=True) if own > 0.0}

    @cached_property
    def _pool(self) -> list[int]:
        """The best nodes, and the best of every kind."""
        ranked = sorted(self._standings, key=lambda node: -self._standings[node])
        elites = self._archive.elites(self._standings).values()
        return list(dict.fromkeys([*ranked[: self._settings.partners], *elites]))

    def _may_tune(self) -> bool:
        state = self._state
        return state.asked[Operator.TUNE] + 1 <= self._settings.tune_share * (state.asks + 1)

    def _most_promising_failure(self) -> Node:
        """Return the failed node with the best parent (average for a draft), the youngest of equals."""
        standing = self._view.standing
        average = float(np.mean(standing))

        def promise(node: Node) -> tuple[float, int]:
            return max((standing[self._state.place(parent)] for parent in node.parents), default=average), node.id

        return max(self._state.unrepaired.values(), key=promise)


def pick_best(rng: np.random.Generator, scores: Floats) -> int:
    """Return the place of the greatest score, a random one of equals (to ten digits)."""
    rounded = np.round(scores, 10)
    best = np.flatnonzero(rounded == rounded.max())
    return int(best[rng.integers(len(best))])
