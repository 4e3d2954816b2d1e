"""One search over one table: a policy of netwright, or a reference searcher."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from search_tables import READERS, Network, Table

from netwright.search.policy import Observation, Policy, Sketch, make_policy
from netwright.search.tree import TreePolicy, TreeSettings
from netwright.types import Action, Operator

CHECKPOINTS = (50, 100, 200, 500)
VARIANTS: Mapping[str, TreeSettings] = {
    "tree without model": TreeSettings(model=None),
    "tree without bandit": TreeSettings(bandit=False),
    "tree without widening": TreeSettings(widening=float("inf")),
    "tree without screening": TreeSettings(looks=1, sketches=1, drafts=0),
    "tree without dedup": TreeSettings(),
}
_KINDS = list(Operator)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Some seeds of one policy on one table."""

    data: Path
    harness: Path | None
    table: str
    policy: str
    flight: int
    noisy: bool
    queries: int
    first: int
    count: int


@cache
def table_of(data: Path, name: str) -> Table:
    return READERS[name](data)


def play(job: Job) -> tuple[np.ndarray, np.ndarray]:
    """Regret after each query, `(seeds, queries)`, and milliseconds of each action, `(actions,)`."""
    search = _reference if job.harness is not None else _search
    runs = [search(job, seed) for seed in range(job.first, job.first + job.count)]
    return np.stack([regret for regret, _ in runs]), np.concatenate([spent for _, spent in runs])


def policy_of(name: str, seed: int) -> Policy:
    if name in VARIANTS:
        return TreePolicy(seed=seed, prices=[1.0], settings=VARIANTS[name])
    return make_policy(name, seed=seed, prices=[1.0])


class Game:
    """The planner and the laboratory of one search; with `dedup` no two networks of the same function are trained."""

    def __init__(self, table: Table, seed: int, *, noisy: bool = False, dedup: bool = True) -> None:
        self.table = table
        self._function: Mapping[Network, object] = table.function if dedup else table.alias
        self._seed = seed
        self._noise = np.random.default_rng([20241, seed]) if noisy and table.runs else None
        self._seen: set[object] = set()
        self._known: dict[int, Network] = {}
        self._shown: dict[tuple[Operator | None, tuple[int, ...], int], Network] = {}
        self.seconds = 0.0

    def sketch(self, action: Action, count: int) -> Sequence[Sketch]:
        """Up to so many networks that were never looked at."""
        started = time.perf_counter()
        shown = []
        for draw, network in enumerate(self._vary(action, count)):
            self._shown[action.operator, action.parents, draw] = network
            shown.append(Sketch(draw, self.table.structure(network)))
        self.seconds += time.perf_counter() - started
        return shown

    def propose(self, action: Action) -> Network | None:
        """The network of a sketch that was chosen, or the first; None where there is nothing new."""
        if (action.operator, action.parents, action.draw) not in self._shown:
            self.sketch(action, 1)
        network = self._shown.get((action.operator, action.parents, action.draw))
        self._shown.clear()
        if network is not None:
            self._seen.add(self._function[network])
        return network

    def answer(self, action: Action, network: Network | None) -> Observation:
        if network is None:
            return Observation(action=action, node=action.index, value=None, repairable=False)
        self._known[action.index] = network
        value = self.table.values[network]
        if self._noise is not None:
            value = float(self._noise.choice(self.table.runs[network]))
        error = self.table.noise if self._noise is not None else 0.0
        structure = self.table.structure(network)
        return Observation(action=action, node=action.index, value=value, standard_error=error, structure=structure)

    def _vary(self, action: Action, count: int) -> list[Network]:
        kind = _KINDS.index(action.operator or Operator.DRAFT)
        rng = np.random.default_rng([20240, self._seed, action.index, kind, *action.parents])
        parents = [self._known[parent] for parent in action.parents]
        if action.operator is Operator.DRAFT or not parents:
            drawn = rng.integers(self.table.sizes, size=(30 + 4 * count, len(self.table.sizes)))
        elif action.operator is Operator.COMBINE:
            mask = rng.random((30 + 4 * count, len(self.table.sizes))) < 0.5
            drawn = np.where(mask, parents[0], parents[1])
        else:
            drawn = rng.permutation(self._edits(parents[0]))
        return self._new(drawn.tolist(), count)

    def _edits(self, network: Network) -> np.ndarray:
        return np.array(
            [
                (*network[:place], choice, *network[place + 1 :])
                for place, size in enumerate(self.table.sizes)
                for choice in range(size)
                if choice != network[place]
            ]
        )

    def _new(self, drawn: list[list[int]], count: int) -> list[Network]:
        found: dict[object, Network] = {}
        for one in drawn:
            network = self.table.alias.get(tuple(one))
            if network is not None and self._function[network] not in self._seen:
                found.setdefault(self._function[network], network)
                if len(found) == count:
                    break
        return list(found.values())


def _search(job: Job, seed: int) -> tuple[np.ndarray, np.ndarray]:
    table = table_of(job.data, job.table)
    policy = policy_of(job.policy, seed)
    game = Game(table, seed, noisy=job.noisy, dedup=job.policy != "tree without dedup")
    told: list[float] = []
    regret: list[float] = []
    spent: list[float] = []
    waiting: list[tuple[Action, Network | None]] = []
    while len(regret) < job.queries and len(spent) < 20 * job.queries:
        started, before = time.perf_counter(), game.seconds
        action = policy.ask(len(spent), game.sketch)
        seconds = time.perf_counter() - started - (game.seconds - before)
        waiting.append((action, game.propose(action)))
        if len(waiting) == job.flight:
            action, network = waiting.pop(0)
            observation = game.answer(action, network)
            started = time.perf_counter()
            policy.tell(observation)
            seconds += time.perf_counter() - started
            if network is not None and observation.value is not None:
                best = not told or observation.value > max(told)
                told.append(observation.value)
                regret.append(table.best - table.values[network] if best else regret[-1])
                if regret[-1] <= 0.0 and not job.noisy:
                    break
        spent.append(1e3 * seconds)
    # Nothing is better than the best; and a policy that finds nothing new any more keeps what it has.
    regret += [regret[-1]] * (job.queries - len(regret))
    return np.array(regret), np.array(spent)


def _reference(job: Job, seed: int) -> tuple[np.ndarray, np.ndarray]:
    os.environ["NASDATA"] = str(job.data)
    if str(job.harness) not in sys.path:
        sys.path.insert(0, str(job.harness))
    from nbh import metrics, policies, runner, tables

    table = tables.load(job.table)
    name = job.policy.removeprefix("reference ")
    started = time.perf_counter()
    rows, told = runner.search(policies.POLICIES[name], table, seed, job.queries, job.noisy)
    milliseconds = 1e3 * (time.perf_counter() - started) / job.queries
    return metrics.regret(table, rows[None], told[None])[0], np.full(job.queries, milliseconds)
