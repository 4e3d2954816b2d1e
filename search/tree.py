"""Policy `tree`: which known design to grow, and how. The equations are in docs/search.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netwright.search.acquisition import log_expected_improvement
from netwright.search.calibration import Calibration
from netwright.search.operators import OperatorBandit, improvement
from netwright.search.policy import NodeStatistics, Observation, Sketch, Sketcher, no_sketches
from netwright.search.promotion import PromotionRule
from netwright.search.standings import Floats
from netwright.search.tree_state import Node, Subtrees, TreeState
from netwright.search.value_model import ModelSettings, ValueModel
from netwright.search.worth import Worths, worths
from netwright.types import Action, Operator, Structure

Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class TreeSettings:
    """The constants of the search. Weights of own standing, best and mean of the subtree sum to 1.

    `widening`, `widening_power`: children allowed are
    `widening * (1/4 + standing) * visits ** widening_power`. `patience`: failed children in a row that close
    a node. `stagnation`: experiments without a new best after which draft and combine begin to count more.
    `tune_share`: bound on recipe-only actions. `partners`: best nodes considered as a second parent.
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
    model: ModelSettings | None = ModelSettings()
    informed: int = 8
    looks: int = 8
    sketches: int = 12
    drafts: int = 40


class TreePolicy:
    """Tree search over designs with several experiments in flight."""

    def __init__(
        self, *, seed: int, rungs: int, promotions: float = 0.15, settings: TreeSettings | None = None
    ) -> None:
        self._seed = seed
        self._settings = settings or TreeSettings()
        self._state = TreeState(rungs)
        self._rule = PromotionRule(share=promotions)
        self._bandit = OperatorBandit()
        self._model = ValueModel(self._settings.model)
        self._calibration = Calibration()
        self._structures: dict[int, Structure] = {}
        self._pending: dict[int, Structure] = {}
        self._worths = Worths({}, {})

    def ask(self, index: int, sketch: Sketcher = no_sketches) -> Action:
        action = self._rule.choose(self._state, index)
        structure = None
        if action is None:
            action, structure = self._expand(index, sketch)
        self.resume(action, structure)
        return action

    def resume(self, action: Action, structure: Structure | None = None) -> None:
        self._state.record_ask(action)
        if structure is not None and action.kind == "expand":
            self._pending[action.index] = structure

    def tell(self, observation: Observation) -> None:
        self._state.check(observation)
        action = observation.action
        reward = improvement(self._state, observation)
        self._state.record_tell(observation)
        if action is not None and action.kind == "expand" and action.operator is not None:
            self._bandit.update(action.operator, reward)
        self._learn(observation)

    def _learn(self, observation: Observation) -> None:
        """Let the value model foretell the result, then take it in."""
        if observation.action is not None:
            self._pending.pop(observation.action.index, None)
        node, structure = observation.node, observation.structure
        if self._settings.model is None or observation.value is None:
            return
        foretold = None
        if structure is not None and node not in self._structures and self._informed:
            foretold = self._model.predict([structure])
        if structure is not None:
            self._structures.setdefault(node, structure)
        self._worths = worths(self._state)
        if foretold is not None:
            self._calibration.note(foretold, self._model.noise, self._worths.value[node], self._worths.error[node])
        self._model.learn(self._structures, self._worths.value, self._worths.error)

    def node_statistics(self) -> Mapping[int, NodeStatistics]:
        view = self._state.subtrees()
        return {
            node: NodeStatistics(visits=int(visits), value=float(worth))
            for node, visits, worth in zip(self._state.order, view.visits, self._worth(view), strict=True)
        }

    def _worth(self, view: Subtrees) -> Floats:
        """Worth as a parent in [0, 1], `(n,)`; work in flight counts as visits that brought nothing."""
        s = self._settings
        mean = view.total / (view.visits + view.flight)
        return np.asarray(s.own * view.standing + s.best * view.best + s.mean * mean)

    @property
    def _informed(self) -> bool:
        return len(self._model) >= self._settings.informed

    def _expand(self, index: int, sketch: Sketcher) -> tuple[Action, Structure | None]:
        rng = np.random.default_rng([self._seed, index])
        view = self._state.subtrees()
        if self._informed and self._calibration.trusted:
            seen = [(action, one) for action, count in self._looks(rng, index, view) for one in sketch(action, count)]
            if seen:
                return self._best(rng, seen)
        action = self._look(rng, index, view, self._tried())
        first = next(iter(sketch(action, 1)), None)
        if first is None:
            return action, None
        return action.model_copy(update={"draw": first.draw}), first.structure

    def _best(self, rng: np.random.Generator, seen: list[tuple[Action, Sketch]]) -> tuple[Action, Structure]:
        """Return the sketch of the greatest expected improvement."""
        belief = self._model.predict([one.structure for _, one in seen], list(self._pending.values()))
        gain = log_expected_improvement(belief, float(self._model.fitted.max()))
        action, one = seen[_argmax(rng, gain)]
        return action.model_copy(update={"draw": one.draw}), one.structure

    def _looks(self, rng: np.random.Generator, index: int, view: Subtrees) -> list[tuple[Action, int]]:
        """Return different actions with the number of sketches of each, drafts always among them."""
        s = self._settings
        tried = self._tried()
        looks = {(Operator.DRAFT, ()): (Action(index=index, kind="expand", operator=Operator.DRAFT), s.drafts)}
        for _ in range(s.looks):
            action = self._look(rng, index, view, tried)
            looks.setdefault((action.operator, action.parents), (action, s.sketches))
            for parent in action.parents[:1]:
                tried[self._state.place(parent)] += 1.0
        return list(looks.values())

    def _look(self, rng: np.random.Generator, index: int, view: Subtrees, tried: Floats) -> Action:
        scores, room = self._scores(view, tried), self._has_room(view, tried)
        operator = self._operator(rng, room, view)
        parents = self._parents(rng, operator, scores, room, view)
        return Action(index=index, kind="expand", operator=operator, parents=parents)

    def _tried(self) -> Floats:
        """Children of each node, unanswered ones included, `(n,)`."""
        return np.array([node.children + node.in_flight for node in self._state.in_order], dtype=float)

    def _scores(self, view: Subtrees, tried: Floats) -> Floats:
        """Upper confidence bound on each node's worth, `(n,)`."""
        bonus = np.sqrt(np.log1p(len(tried)) / (1.0 + tried))
        return np.asarray(self._worth(view) + self._settings.exploration * bonus)

    def _has_room(self, view: Subtrees, tried: Floats) -> Bools:
        """Alive, not closed by failures, and fewer children than progressive widening allows, `(n,)`."""
        s = self._settings
        limit = np.maximum(1.0, s.widening * (0.25 + view.standing) * view.visits**s.widening_power)
        able = np.array([node.alive and node.failures < s.patience for node in self._state.in_order], dtype=bool)
        return np.asarray(able & (tried < np.floor(limit)))

    def _operator(self, rng: np.random.Generator, room: Bools, view: Subtrees) -> Operator:
        available = self._available(room, view)
        young = self._state.asked[Operator.DRAFT] < self._settings.first_drafts
        if available == {Operator.DRAFT} or (young and rng.random() < 0.75):
            return Operator.DRAFT
        stale = self._state.since_best / self._settings.stagnation
        return self._bandit.choose(rng, available, novelty=min(3.0, max(1.0, stale)))

    def _available(self, room: Bools, view: Subtrees) -> set[Operator]:
        available = {Operator.DRAFT}
        if room.any():
            available |= {Operator.REFINE}
            if sum(node.alive for node in self._state.in_order) > 1:
                available |= {Operator.COMBINE}
            if self._rested(room, Operator.SIMPLIFY).any():
                available |= {Operator.SIMPLIFY}
            if self._may_tune() and self._rested(room, Operator.TUNE).any():
                available |= {Operator.TUNE}
        if self._state.unrepaired:
            available |= {Operator.REPAIR}
        return available

    def _parents(
        self, rng: np.random.Generator, operator: Operator, scores: Floats, room: Bools, view: Subtrees
    ) -> tuple[int, ...]:
        if operator is Operator.DRAFT:
            return ()
        if operator is Operator.REPAIR:
            return (self._most_promising_failure(view),)
        if operator in (Operator.SIMPLIFY, Operator.TUNE):
            room = self._rested(room, operator)
        parent = self._state.order[_argmax(rng, np.where(room, scores, -np.inf))]
        if operator is Operator.COMBINE:
            return (parent, self._partner(rng, parent, view))
        return (parent,)

    def _partner(self, rng: np.random.Generator, parent: int, view: Subtrees) -> int:
        """Draw a good node of other ancestry.

        Among the best, in proportion to
        `standing ** 2 * (0.1 + Jaccard distance of the ancestries) / 4 ** times combined before`.
        """
        family = self._state.ancestry(parent)
        best = np.argsort(-view.standing, kind="stable")
        ranked = [int(place) for place in best if self._state.order[place] != parent and view.standing[place] > 0]
        pool = ranked[: self._settings.partners]
        weights = np.empty(len(pool))
        for row, place in enumerate(pool):
            other = self._state.order[place]
            kin = self._state.ancestry(other)
            difference = 1.0 - len(family & kin) / len(family | kin)
            repeats = self._state.times_combined(parent, other)
            weights[row] = view.standing[place] ** 2 * (0.1 + difference) * 0.25**repeats
        return self._state.order[pool[int(rng.choice(len(pool), p=weights / weights.sum()))]]

    def _rested(self, room: Bools, operator: Operator) -> Bools:
        """Nodes with room that were not yet tried with an operator that is worth trying once, `(n,)`."""
        nodes = self._state.in_order
        rested = np.zeros(len(nodes), dtype=bool)
        for place in np.flatnonzero(room):
            rested[place] = nodes[place].asked[operator] == 0 and nodes[place].operator is not operator
        return rested

    def _may_tune(self) -> bool:
        state = self._state
        return state.asked[Operator.TUNE] + 1 <= self._settings.tune_share * (state.asks + 1)

    def _most_promising_failure(self, view: Subtrees) -> int:
        """Return the failed node with the best parent (average for a draft), the youngest of equals."""
        places = dict(zip(self._state.order, view.standing.tolist(), strict=True))
        average = float(np.mean(view.standing))

        def promise(node: Node) -> tuple[float, int]:
            return max((places[parent] for parent in node.parents), default=average), node.id

        return max(self._state.unrepaired.values(), key=promise).id


def _argmax(rng: np.random.Generator, scores: Floats) -> int:
    """Return the place of the greatest score, a random one of equals (to ten digits)."""
    rounded = np.round(scores, 10)
    best = np.flatnonzero(rounded == rounded.max())
    return int(best[rng.integers(len(best))])
