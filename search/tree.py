"""Policy `tree`: the tree and its bandit say where to look, the value model chooses among what is seen there.

The equations are in docs/search.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from netwright.search.acquisition import log_expected_improvement
from netwright.search.archive import Archive
from netwright.search.calibration import Calibration
from netwright.search.descriptors import AXES, descriptors
from netwright.search.operators import PROMOTION, OperatorBandit, improvement
from netwright.search.policy import (
    PROMOTIONS,
    NodeStatistics,
    Observation,
    Preferences,
    Searches,
    Sketch,
    Sketcher,
    no_sketches,
)
from netwright.search.productions import ProductionBandit
from netwright.search.promotion import PromotionRule
from netwright.search.selection import Choice, Selection, SelectionSettings, pick_best, worth_as_parent
from netwright.search.standings import Floats
from netwright.search.transfer import Experience
from netwright.search.tree_state import TreeState
from netwright.search.value_model import Belief, ModelSettings, ValueModel
from netwright.search.worth import Worths, worths
from netwright.types import Action, Operator, Structure


@dataclass(frozen=True, kw_only=True)
class TreeSettings(SelectionSettings):
    """The constants of the policy besides those of the tree.

    `model` is None for a search without one. It chooses once `informed` designs besides the baselines are known or on
    their way, `known` of them known, among `sketches` of each of `looks` choices of the tree and `drafts` fresh
    designs; before, it takes the fresh one that it knows least about, as it does while the search stagnates with every
    `novelty`-th choice.
    """

    model: ModelSettings | None = ModelSettings()
    informed: int = 8
    known: int = 2
    looks: int = 8
    sketches: int = 12
    drafts: int = 40
    novelty: int = 4


class TreePolicy:
    """Tree search over designs with several experiments in flight."""

    def __init__(
        self,
        *,
        seed: int,
        prices: Sequence[float],
        promotions: float = PROMOTIONS,
        settings: TreeSettings | None = None,
    ) -> None:
        self._seed = seed
        self._prices = tuple(prices)
        self._settings = settings or TreeSettings()
        self._state = TreeState(len(prices))
        self._rule = PromotionRule(prices=tuple(prices), share=promotions)
        self._bandit = OperatorBandit()
        self._model = ValueModel(self._settings.model)
        self._informed_at, self._known_at = self._settings.informed, self._settings.known
        self._calibration = Calibration()
        self._structures: dict[int, Structure] = {}
        self._own = 0
        self._pending: dict[int, Structure] = {}
        self._productions = ProductionBandit()
        self._archive = Archive(AXES)
        self._worths = Worths({}, {})

    def warm(self, searches: Searches) -> None:
        """Start from earlier searches on similar tasks.

        Raises:
            ValueError: something was asked or told before.
        """
        self._state.check_fresh()
        experience = Experience(searches, self._settings.model or ModelSettings())
        if experience and self._settings.model is not None:
            self._model = ValueModel(self._settings.model, experience.expect)
            self._informed_at = self._known_at = 0

    def ask(self, index: int, sketch: Sketcher = no_sketches) -> Action:
        action, structure = self._rule.choose(self._state, index), None
        if action is None or not self._prefers_promotion(action):
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
        if action is not None:
            self._learn_what_pays(action, reward)
            self._pending.pop(action.index, None)
        if observation.structure is not None and (action is None or action.kind == "expand"):
            self._archive.put(observation.node, descriptors(observation.structure))
            self._productions.update(observation.structure.choices, self._standing(observation.value))
        if self._settings.model is not None and observation.value is not None:
            self._learn(observation.node, observation.structure)

    def _learn_what_pays(self, action: Action, reward: float) -> None:
        """Let the bandit take in a reward. Baselines go up to be compared with: that teaches nothing of designs."""
        if not self._settings.bandit:
            return
        if action.kind == "expand" and action.operator is not None:
            self._bandit.update(action.operator, reward)
        elif action.kind == "promote" and action.parents[0] >= 0:
            self._bandit.update(PROMOTION, reward)

    def node_statistics(self) -> Mapping[int, NodeStatistics]:
        view = self._state.subtrees()
        return {
            node: NodeStatistics(visits=int(visits), value=float(worth))
            for node, visits, worth in zip(
                self._state.order, view.visits, worth_as_parent(view, self._settings), strict=True
            )
        }

    def preferences(self) -> Preferences:
        """Which decisions led to good designs; drafts and changes of a grammar lean that way."""
        return self._productions.weights()

    def _standing(self, value: float | None) -> float:
        """Return the share of the results of rung 0 that are no better; 0 for a failure."""
        return 0.0 if value is None else float(np.mean(self._state.tables[0].values <= value))

    @property
    def calibration(self) -> Calibration:
        """How well the value model foretold the recent results."""
        return self._calibration

    def _learn(self, node: int, structure: Structure | None) -> None:
        """Let the value model foretell a result, then take it in."""
        self._worths = worths(self._state)
        if structure is not None and node not in self._structures:
            self._structures[node] = structure
            self._own += node >= 0
            if self._informed:
                belief = self._model.predict([structure])
                self._calibration.note(belief, self._model.noise, self._worths.value[node], self._worths.error[node])
        self._model.learn(self._structures, self._worths.value, self._worths.error)

    @property
    def _informed(self) -> bool:
        # Baselines are of few kinds: a model of them alone would send the search after the best of them.
        if not len(self._model):
            return False
        return self._own >= self._known_at and self._own + len(self._pending) >= self._informed_at

    def _prefers_promotion(self, promotion: Action) -> bool:
        """Tell whether a promotion that is due promises more per compute than a new design."""
        rng = np.random.default_rng([self._seed, promotion.index, promotion.rung])
        price = self._prices[promotion.rung] / self._prices[0]
        return self._selection(rng).prefers_promotion(price)

    def _expand(self, index: int, sketch: Sketcher) -> tuple[Action, Structure | None]:
        rng = np.random.default_rng([self._seed, index])
        foreseen: Mapping[int, float] = {}
        if self._informed and self._calibration.trusted:
            foreseen = self._model.standings()
            seen = self._look(index, self._selection(rng), sketch)
            if seen:
                novel = self._stagnant and index % self._settings.novelty == 0
                return self._least_known(rng, seen) if novel else self._best(rng, seen)
        elif not self._informed and (seen := self._first_drafts(index, sketch)):
            return self._least_known(rng, seen)
        # Nothing to choose from: the model still says which parents were lucky or unlucky.
        action = _action(index, self._selection(rng, foreseen).choose())
        first = next(iter(sketch(action, 1)), None)
        if first is None:
            return action, None
        return action.model_copy(update={"draw": first.draw}), first.structure

    def _selection(self, rng: np.random.Generator, foreseen: Mapping[int, float] = MappingProxyType({})) -> Selection:
        return Selection(self._state, self._settings, self._bandit, self._archive, rng, foreseen)

    def _look(self, index: int, selection: Selection, sketch: Sketcher) -> list[tuple[Action, Sketch]]:
        """Return sketches of fresh designs and of what the tree would do next."""
        s = self._settings
        wanted = {Choice(Operator.DRAFT): s.drafts}
        for _ in range(s.looks):
            wanted.setdefault(selection.choose(), s.sketches)
        actions = [(_action(index, choice), count) for choice, count in wanted.items() if count > 0]
        return [(action, one) for action, count in actions for one in sketch(action, count)]

    def _first_drafts(self, index: int, sketch: Sketcher) -> list[tuple[Action, Sketch]]:
        """Return sketches of fresh designs, none for a search without a model."""
        if self._settings.model is None or self._settings.drafts == 0:
            return []
        action = _action(index, Choice(Operator.DRAFT))
        return [(action, one) for one in sketch(action, self._settings.drafts)]

    @property
    def _stagnant(self) -> bool:
        return self._state.since_best >= self._settings.stagnation

    def _best(self, rng: np.random.Generator, seen: list[tuple[Action, Sketch]]) -> tuple[Action, Structure]:
        """Return the sketch of the greatest expected improvement."""
        gain = log_expected_improvement(self._believe(seen), float(self._model.fitted.max()))
        return _picked(rng, seen, gain)

    def _least_known(self, rng: np.random.Generator, seen: list[tuple[Action, Sketch]]) -> tuple[Action, Structure]:
        """Return the sketch that the model knows least about."""
        return _picked(rng, seen, self._believe(seen).deviation)

    def _believe(self, seen: list[tuple[Action, Sketch]]) -> Belief:
        return self._model.predict([one.structure for _, one in seen], list(self._pending.values()))


def _picked(rng: np.random.Generator, seen: list[tuple[Action, Sketch]], gain: Floats) -> tuple[Action, Structure]:
    """Return the action of the sketch that promises most, and its structure."""
    action, one = seen[pick_best(rng, gain)]
    return action.model_copy(update={"draw": one.draw}), one.structure


def _action(index: int, choice: Choice) -> Action:
    return Action(index=index, kind="expand", operator=choice.operator, parents=choice.parents)
