"""What every policy remembers: nodes, work in flight, results by rung. No choice is made here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netwright.search.policy import Observation
from netwright.search.standings import Floats, RungTable, exchange_places
from netwright.types import Action, Operator


@dataclass(kw_only=True)
class Node:
    """One design that was answered. `parents[0]` is its parent in the tree, none for a child of the root.

    `in_flight` counts unanswered children, `failures` the children that failed since the last that did not,
    and `asked` the children asked for by operator.
    """

    id: int
    operator: Operator
    parents: tuple[int, ...] = ()
    alive: bool = False
    children: int = 0
    in_flight: int = 0
    failures: int = 0
    asked: Counter[Operator] = field(default_factory=Counter)

    @property
    def is_baseline(self) -> bool:
        return self.id < 0


@dataclass(frozen=True, kw_only=True)
class Subtrees:
    """Sums over each node's subtree (itself included), arrays `(n,)` in the order of `TreeState.order`.

    `standing` is the node's own, 0 where it failed; `flight` counts unanswered descendants.
    """

    standing: Floats
    best: Floats
    total: Floats
    visits: NDArray[np.int64]
    flight: NDArray[np.int64]


class TreeState:
    """The bookkeeping of ask and tell, shared by all policies.

    `order` and `in_order` list the nodes as they were told; `unrepaired` holds the failed ones that can be mended
    and were not yet asked to be; `promotions` counts those asked for by rung.
    """

    def __init__(self, rungs: int) -> None:
        self.rungs = rungs
        self.tables = [RungTable() for _ in range(rungs)]
        self.failed: list[set[int]] = [set() for _ in range(rungs)]
        self.nodes: dict[int, Node] = {}
        self.order: list[int] = []
        self.in_order: list[Node] = []
        self.unrepaired: dict[int, Node] = {}
        self.pending: dict[int, Action] = {}
        self.pairs: Counter[tuple[int, int]] = Counter()
        self.asks = 0
        self.promotions: Counter[int] = Counter()
        self.asked: Counter[Operator] = Counter()
        self.since_best = 0
        self._seen: set[int] = set()
        self._position: dict[int, int] = {}

    def check_fresh(self) -> None:
        """Raise ValueError where something was asked or told before."""
        if self.order or self.asks:
            raise ValueError("earlier searches are taken in before the first ask or tell")

    def record_ask(self, action: Action) -> None:
        """Note an action as in flight. Raises ValueError for an index that was asked before."""
        if action.index in self._seen:
            raise ValueError(f"action {action.index} was asked before: every index is asked once")
        self._seen.add(action.index)
        self.pending[action.index] = action
        self.asks += 1
        if action.kind == "promote":
            self.promotions[action.rung] += 1
            return
        operator = action.operator or Operator.DRAFT
        self.asked[operator] += 1
        if action.parents:
            parent = self.nodes[action.parents[0]]
            parent.in_flight += 1
            parent.asked[operator] += 1
            if operator is Operator.REPAIR:
                self.unrepaired.pop(parent.id, None)
        if len(action.parents) == 2:
            self.pairs[_pair(*action.parents)] += 1

    def record_tell(self, observation: Observation) -> None:
        """Take in a result. Raises ValueError where it answers nothing that was asked."""
        self.check(observation)
        action = observation.action
        if action is not None:
            del self.pending[action.index]
        if action is None or action.kind == "expand":
            self._grow(observation)
        self._note_best(observation)
        self._store(observation)

    def check(self, observation: Observation) -> None:
        """Raise ValueError where an observation answers nothing that was asked."""
        action, node = observation.action, observation.node
        if observation.rung >= self.rungs:
            raise ValueError(f"node {node}: rung {observation.rung} does not exist, there are {self.rungs}")
        if action is None:
            if node >= 0:
                raise ValueError(f"a baseline's node is negative, got {node}")
            return
        if not _same_work(self.pending.get(action.index), action):
            raise ValueError(f"action {action.index} is not waiting for a result: never asked, or answered before")
        expected = action.index if action.kind == "expand" else action.parents[0]
        if node != expected:
            raise ValueError(f"action {action.index} is about node {expected}, the observation about {node}")

    def _grow(self, observation: Observation) -> None:
        action = observation.action
        operator = Operator.BASELINE if action is None else action.operator or Operator.DRAFT
        parents = () if action is None else action.parents
        if observation.node not in self.nodes:
            self.nodes[observation.node] = Node(id=observation.node, operator=operator, parents=parents)
            self._position[observation.node] = len(self.order)
            self.order.append(observation.node)
            self.in_order.append(self.nodes[observation.node])
        node = self.nodes[observation.node]
        mendable = observation.value is None and observation.repairable and not node.is_baseline
        if mendable and operator is not Operator.REPAIR:
            self.unrepaired[node.id] = node
        if parents:
            parent = self.nodes[parents[0]]
            parent.in_flight -= 1
            parent.children += 1
            parent.failures = parent.failures + 1 if observation.value is None else 0

    def _note_best(self, observation: Observation) -> None:
        if observation.action is None:
            return
        value, table = observation.value, self.tables[observation.rung]
        first = len(table) == 0 and observation.rung > 0
        if value is not None and not first and (len(table) == 0 or value > table.values.max()):
            self.since_best = 0
        elif observation.action.kind == "expand":
            self.since_best += 1

    def _store(self, observation: Observation) -> None:
        rung, node = observation.rung, observation.node
        if observation.value is None:
            if node not in self.tables[rung]:
                self.failed[rung].add(node)
            return
        self.failed[rung].discard(node)
        self.nodes[node].alive = True
        self.tables[rung].put(node, observation.value, observation.standard_error)

    def standings(self) -> dict[int, float]:
        """Standing in (0, 1] of every node with a result; see `standings`."""
        places: dict[int, float] = {}
        for table in self.tables:
            for node, standing in zip(table.nodes, table.standings().tolist(), strict=True):
                places.setdefault(node, standing)
        for rung in range(1, self.rungs):
            exchange_places(places, self.tables[rung], self.failed[rung])
        return places

    def subtrees(self) -> Subtrees:
        """Sum up each node's subtree; children come after parents in `order`, so one backward pass does."""
        places = self.standings()
        own = [places.get(node, 0.0) for node in self.order]
        best, total, visits = own.copy(), own.copy(), [1] * len(own)
        flight = [node.in_flight for node in self.in_order]
        for place in range(len(own) - 1, -1, -1):
            parents = self.in_order[place].parents
            if parents:
                above = self._position[parents[0]]
                best[above] = max(best[above], best[place])
                total[above] += total[place]
                visits[above] += visits[place]
                flight[above] += flight[place]
        return Subtrees(
            standing=np.array(own),
            best=np.array(best),
            total=np.array(total),
            visits=np.array(visits, dtype=np.int64),
            flight=np.array(flight, dtype=np.int64),
        )

    def place(self, node: int) -> int:
        """Return the node's place in `order`."""
        return self._position[node]

    def ancestry(self, node: int) -> frozenset[int]:
        """Return the node and all it descends from, through both parents of a combination."""
        seen: set[int] = set()
        stack = [node]
        while stack:
            current = stack.pop()
            if current not in seen:
                seen.add(current)
                stack.extend(self.nodes[current].parents)
        return frozenset(seen)

    def times_combined(self, first: int, second: int) -> int:
        """How often the two were asked to be combined, in either order."""
        return self.pairs[_pair(first, second)]


def _same_work(asked: Action | None, action: Action) -> bool:
    """Compare what is to be done; whatever else a campaign notes on an action is its own affair."""
    return asked is not None and (asked.kind, asked.operator, asked.parents, asked.rung) == (
        action.kind,
        action.operator,
        action.parents,
        action.rung,
    )


def _pair(first: int, second: int) -> tuple[int, int]:
    return (min(first, second), max(first, second))
