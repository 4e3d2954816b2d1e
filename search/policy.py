"""The one small interface between a campaign and whatever chooses the next design.

    action = policy.ask(index, sketch)   # several asks may be unanswered at once
    ... somebody proposes, trains, scores ...
    policy.tell(Observation(action=action, node=..., value=-loss_nats, standard_error=..., rung=..., structure=...))

`sketch(action, count)` shows what designs an action could become, before any is trained: a policy with a model of
scores looks at many and picks one (`Action.draw`). A planner that cannot sketch, such as an LLM, shows none.

Node ids: an expand action's index names the node it makes; baselines are -1, -2, ..., children of an
invisible root; a promote action makes no node, its observation belongs to `parents[0]` at the action's rung.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import NamedTuple, Protocol, runtime_checkable

from netwright.errors import ConfigError
from netwright.types import Action, Structure


class Sketch(NamedTuple):
    """One design that an action could become, new to the campaign. `draw` names it among the action's sketches."""

    draw: int
    structure: Structure


Sketcher = Callable[[Action, int], Sequence[Sketch]]
"""At most so many sketches of what an action could become; the same for the same action, fewer or none if there are no
more, or the planner cannot tell before it has written the whole design."""


def no_sketches(action: Action, count: int) -> Sequence[Sketch]:
    """The sketcher of a planner that cannot sketch."""
    return ()


Preferences = dict[str, dict[str, float]]
"""Factors on how probable each option of a decision is, by place (`rule.kind`: {`delta`: 1.4})."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What came of an action (or of a baseline, where `action` is None).

    `value` is higher-better (minus the loss in nats), None where there is no result: a failed gate, a crash,
    a duplicate. `repairable` is False where a failure leaves nothing to mend, as for a duplicate. `structure` is that
    of the design which was trained, None where it is not known.

    Raises:
        ValueError: a value or standard error that is not finite, or a negative standard error or rung.
    """

    action: Action | None
    node: int
    value: float | None
    standard_error: float = 0.0
    rung: int = 0
    repairable: bool = True
    structure: Structure | None = None

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"node {self.node}: expected a finite value or None, got {self.value}")
        if not (math.isfinite(self.standard_error) and self.standard_error >= 0.0):
            raise ValueError(f"node {self.node}: expected a standard error of at least 0, got {self.standard_error}")
        if self.rung < 0:
            raise ValueError(f"node {self.node}: expected a rung of at least 0, got {self.rung}")


@dataclass(frozen=True, kw_only=True)
class NodeStatistics:
    """How a policy sees one node.

    `visits` counts the answered experiments of its subtree, itself included; `value` is the policy's estimate
    of its worth as a parent in [0, 1], without any bonus for uncertainty.
    """

    visits: int
    value: float


class Policy(Protocol):
    """Chooses actions. The same interleaving of asks (or resumed actions) and tells rebuilds exactly the same state."""

    def ask(self, index: int, sketch: Sketcher = no_sketches) -> Action:
        """Return action number `index` (each index once). Randomness comes from (seed, index) alone."""
        ...

    def resume(self, action: Action, structure: Structure | None = None) -> None:
        """Note as in flight an action that an earlier run of this search asked for; `structure` of its sketch."""
        ...

    def tell(self, observation: Observation) -> None:
        """Take in a result. Raises ValueError for an action that is not waiting for one."""
        ...

    def node_statistics(self) -> Mapping[int, NodeStatistics]:
        """Every node told so far, by id."""
        ...

    def preferences(self) -> Preferences:
        """What has paid so far, for a planner that decides by a grammar; {} leaves it to itself."""
        ...


Searches = Sequence[Sequence[tuple[Structure, float]]]
"""Designs of earlier searches with their scores (higher is better), one sequence for each search."""

SEARCH_LEAST = 4
"""A search of fewer designs says too little of what is good among them to be learned from."""


@runtime_checkable
class Warmable(Protocol):
    """What a policy has besides if it can start from earlier searches."""

    def warm(self, searches: Searches) -> None:
        """Take in earlier searches on similar tasks, before the first ask, resume or tell.

        Scores of two searches do not compare: budgets, data and units may differ.
        """
        ...


_SHIPPED: dict[str, tuple[str, str]] = {
    "tree": (
        "netwright.search.tree:TreePolicy",
        "tree search over designs: widening, virtual loss, a bandit over operators (default)",
    ),
    "random": ("netwright.search.random_search:RandomPolicy", "a fresh design every time: the honest control"),
    "greedy": ("netwright.search.greedy:GreedyPolicy", "a few drafts, then always grow the best that is known"),
    "evolution": ("netwright.search.evolution:EvolutionPolicy", "aging evolution: a tournament among the youngest"),
    "map-elites": ("netwright.search.map_elites:MapElitesPolicy", "grow the best of every kind of design alike"),
    "mcts-decisions": (
        "netwright.search.decisions:DecisionsPolicy",
        "tree search over the decisions of the grammar, from the coarsest to the finest",
    ),
    "surrogate": (
        "netwright.search.surrogate:SurrogatePolicy",
        "the value model alone, many designs per training",
    ),
}

POLICIES: Mapping[str, str] = {name: summary for name, (_, summary) in _SHIPPED.items()}
"""The one-line summary of each policy that ships with netwright, by its name."""


PROMOTIONS = 0.35
"""The share of the compute that promotions to higher rungs may take, where nothing else is said."""


def make_policy(name: str = "tree", *, seed: int, prices: Sequence[float], promotions: float = PROMOTIONS) -> Policy:
    """Make the policy called `name`, one of an installed package or of the file `name` (`*.py`).

    `prices` are what a training at each rung costs, in any unit. At most the share `promotions` of what its actions
    cost goes into training known nodes at a higher rung.

    Raises:
        ConfigError: an unknown name, a negative seed, no rung, a price that is not a finite number above 0, a share
            outside [0, 0.9], or a policy of the user's own that cannot be loaded.
    """
    from netwright.search.plugins import load_plugin

    # The modules of policies import this one.
    factory = resolve_name(_SHIPPED[name][0]) if name in _SHIPPED else load_plugin(name)
    if seed < 0:
        raise ConfigError(f"the seed of a search must be at least 0, got {seed}")
    if not prices or not all(0.0 < price < math.inf for price in prices):
        raise ConfigError(f"a search needs a price above 0 for each of its rungs, got {list(prices)}")
    if not 0.0 <= promotions <= 0.9:
        raise ConfigError(f"the share of promotions must lie between 0 and 0.9, got {promotions}")
    policy: Policy = factory(seed=seed, prices=prices, promotions=promotions)
    return policy
