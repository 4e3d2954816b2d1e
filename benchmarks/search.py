"""How much each search policy finds per training, on a complete table of real accuracies (NAS-Bench-201).

    python benchmarks/search.py --data DIR [--seeds 100] [--flight 1]

DIR holds `nasbench201_200ep.csv.gz` with the columns `ops` (six digits, 0-4), `iso_class`, `c10_val`,
`in16_val`. The policies see the table through the same ask and tell as in a campaign: draft is a random
network, combine a uniform crossover, every other operator a change of one edge. A query is the first look at
a network; networks that compute the same function (`iso_class`) are duplicates: 30 proposals are tried, then
the action is told as failed, free of charge. Regret is in per cent of validation accuracy below the best of
the table.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netwright.search.policy import POLICIES, Observation, Policy, make_policy
from netwright.types import Action, Operator

CHECKPOINTS = (50, 100, 200, 500)
TABLES = ("c10", "in16")
Network = tuple[int, ...]


@dataclass(frozen=True)
class Table:
    values: dict[Network, float]
    functions: dict[Network, int]

    @property
    def best(self) -> float:
        return max(self.values.values())


def read_table(path: Path, column: str) -> Table:
    with gzip.open(path, "rt", newline="") as text:
        rows = list(csv.DictReader(text))
    networks = [tuple(int(digit) for digit in row["ops"]) for row in rows]
    return Table(
        values={network: float(row[f"{column}_val"]) for network, row in zip(networks, rows, strict=True)},
        functions={network: int(row["iso_class"]) for network, row in zip(networks, rows, strict=True)},
    )


class Game:
    """One search over one table."""

    def __init__(self, table: Table, seed: int) -> None:
        self.table = table
        self.rng = np.random.default_rng([20240, seed])
        self.seen: set[int] = set()
        self.known: dict[int, Network] = {}

    def propose(self, action: Action) -> Network | None:
        """A network never seen before, or None after 30 duplicates."""
        parents = [self.known[parent] for parent in action.parents if parent in self.known]
        for _ in range(30):
            network = self._vary(action.operator, parents)
            if self.table.functions[network] not in self.seen:
                self.seen.add(self.table.functions[network])
                return network
        return None

    def _vary(self, operator: Operator | None, parents: list[Network]) -> Network:
        if operator is Operator.DRAFT or not parents:
            return tuple(int(choice) for choice in self.rng.integers(5, size=6))
        if operator is Operator.COMBINE:
            first = self.rng.random(6) < 0.5
            return tuple(a if keep else b for a, b, keep in zip(*parents, first, strict=True))
        edge = int(self.rng.integers(6))
        choice = int(parents[0][edge] + self.rng.integers(1, 5)) % 5
        return (*parents[0][:edge], choice, *parents[0][edge + 1 :])


def search(policy: Policy, game: Game, queries: int, flight: int) -> tuple[np.ndarray, float]:
    """Regret after each query, `(queries,)`, and the seconds per action spent in the policy."""
    regret: list[float] = []
    waiting: list[tuple[Action, Network | None]] = []
    best, index, seconds = -np.inf, 0, 0.0
    while len(regret) < queries and index < 20 * queries:
        started = time.perf_counter()
        action = policy.ask(index)
        seconds += time.perf_counter() - started
        index += 1
        waiting.append((action, game.propose(action)))
        if len(waiting) < flight:
            continue
        action, network = waiting.pop(0)
        value = None if network is None else game.table.values[network]
        if network is not None and value is not None:
            game.known[action.index] = network
            best = max(best, value)
            regret.append(game.table.best - best)
        started = time.perf_counter()
        policy.tell(Observation(action=action, node=action.index, value=value, repairable=False))
        seconds += time.perf_counter() - started
    # A policy that finds nothing new any more keeps what it has.
    regret += [regret[-1]] * (queries - len(regret))
    return np.array(regret), seconds / index


def row(name: str, regrets: np.ndarray, random: np.ndarray, milliseconds: float) -> str:
    """Mean regret, half width of its 95% interval, ratio to random search, queries to within 0.1."""
    cells = []
    for checkpoint in CHECKPOINTS:
        at = regrets[:, checkpoint - 1]
        half = 1.96 * at.std(ddof=1) / np.sqrt(len(at))
        cells.append(f"{at.mean():.3f} ±{half:.3f} ({at.mean() / random[:, checkpoint - 1].mean():.2f})")
    near = regrets <= 0.1 + 1e-9
    queries = np.where(near.any(axis=1), near.argmax(axis=1) + 1, np.inf)
    median = float(np.median(queries))
    reached = f"{median:.0f}" if np.isfinite(median) else "-"
    return f"| {name} | {' | '.join(cells)} | {reached} | {milliseconds:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--flight", type=int, default=1, help="asks unanswered at once")
    options = parser.parse_args()
    for column in TABLES:
        table = read_table(options.data / "nasbench201_200ep.csv.gz", column)
        print(f"\n{column}: mean regret (relative to random), {options.seeds} seeds, {options.flight} in flight\n")
        print("| policy | " + " | ".join(map(str, CHECKPOINTS)) + " | to 0.1 | ms per action |")
        print("|" + "---|" * (len(CHECKPOINTS) + 3))
        compare(table, options.seeds, options.flight)


def compare(table: Table, seeds: int, flight: int) -> None:
    """Print one row per policy, `random` first, all on the same seeds."""
    random = np.empty(0)
    for name in sorted(POLICIES, key=lambda name: name != "random"):
        runs = [
            search(make_policy(name, seed=seed, rungs=1), Game(table, seed), CHECKPOINTS[-1], flight)
            for seed in range(seeds)
        ]
        regrets = np.array([regret for regret, _ in runs])
        random = regrets if name == "random" else random
        print(row(name, regrets, random, 1e3 * float(np.mean([cost for _, cost in runs]))), flush=True)


if __name__ == "__main__":
    main()
