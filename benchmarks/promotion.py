"""Are promotions to a higher rung worth what they cost? Two fidelities of the same networks, at equal compute.

    python benchmarks/promotion.py --data DIR [--prices 4 16] [--compute 200] [--tables c10 in16] [--seeds 50]
        [--rules none "rule 0.35" "bandit 0.35" ...]

DIR holds the tables (see `benchmarks/search_tables.py`). Rung 0 is a training of a NAS-Bench-201 network for 12 epochs,
at price 1, rung 1 one for 200 epochs, at the price of the setting; 16 is what the epochs say. Every search spends the
same compute, of which, as in a campaign, the three best designs of rung 0 are trained at rung 1 in the end. A rule is
`none` (these three alone), `rule SHARE` (successive halving within that share of the compute), `old` (within 15% of all
actions) or `bandit SHARE` (as the policy `tree` does it: a promotion is also an arm of the bandit).

Printed is the mean regret of the best network of rung 1, in points of accuracy after 200 epochs below the best of the
table, with the half width of its 95% interval; the difference to `old`, paired by seed; and how many trainings it took.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from search_play import Game
from search_tables import Network, Table, cell_table, digits, rows_of

from netwright.search.policy import Observation
from netwright.search.tree import TreePolicy, TreeSettings
from netwright.types import Action

FINALISTS = 3
RULES = ("old", "none", "rule 0.35", "bandit 0.2", "bandit 0.35", "bandit 0.7")


class RuleAlone(TreePolicy):
    """The policy `tree` where a promotion that is due is asked for at once."""

    def _prefers_promotion(self, promotion: Action) -> bool:
        return True


class Found(NamedTuple):
    """Regret of the best network of rung 1, and how many networks were trained at each rung."""

    regret: float
    expanded: int
    promoted: int


@cache
def tables_of(data: Path, column: str) -> tuple[Table, Mapping[Network, float]]:
    """The table as rung 0 shows it, and accuracies at rung 1."""
    long = cell_table(data, column, column)
    short = {digits(row["ops"]): float(row[f"{column}_val"]) for row in rows_of(data / "nasbench201_12ep.csv.gz")}
    return replace(long, values=short), long.values


def policy_of(rule: str, price: float, seed: int, settings: TreeSettings) -> TreePolicy:
    kind, _, share = rule.partition(" ")
    # One of `price` in 15 of 100 actions, the others at 1.
    bounds = {"none": 0.0, "old": 0.15 * price / (0.15 * price + 0.85)}
    make = TreePolicy if kind == "bandit" else RuleAlone
    return make(seed=seed, prices=[1.0, price], promotions=bounds.get(rule) or float(share or 0), settings=settings)


def play(data: Path, column: str, rule: str, price: float, compute: float, settings: TreeSettings, seed: int) -> Found:
    """Search until no more can be paid for beside the finalists, then train these."""
    short, long = tables_of(data, column)
    policy, game = policy_of(rule, price, seed, settings), Game(short, seed)
    designs: dict[int, Network] = {}
    top: dict[int, float] = {}
    spent, index = 0.0, 0
    while True:
        finalists = sorted(designs, key=lambda node: -short.values[designs[node]])[:FINALISTS]
        action = policy.ask(index, game.sketch)
        reserved = {*finalists, *(action.parents if action.kind == "promote" else ())} - set(top)
        reserve = price * len(reserved) + (action.kind == "expand")
        if spent + reserve > compute:
            break
        index += 1
        if action.kind == "promote":
            node, spent = action.parents[0], spent + price
            top[node] = long[designs[node]]
            policy.tell(Observation(action=action, node=node, value=top[node], rung=1))
            continue
        network = game.propose(action)
        policy.tell(game.answer(action, network))
        if network is not None:
            spent += 1.0
            designs[action.index] = network
    top |= {node: long[designs[node]] for node in finalists}
    return Found(max(long.values()) - max(top.values()), len(designs), len(top))


def line(rule: str, found: Sequence[Found], base: Sequence[Found]) -> str:
    regret, paired = (np.array([each.regret for each in some]) for some in (found, base))
    cells = [_interval(regret), _interval(regret - paired)]
    cells += [f"{np.mean([each[place] for each in found]):.0f}" for place in (1, 2)]
    return f"| {rule} | {' | '.join(cells)} |"


def _interval(values: np.ndarray) -> str:
    return f"{values.mean():.3f} ±{1.96 * values.std(ddof=1) / np.sqrt(len(values)):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", default=["c10", "in16"])
    parser.add_argument("--prices", nargs="+", type=float, default=[4.0, 16.0])
    parser.add_argument("--compute", type=float, default=200.0, help="in trainings at rung 0")
    parser.add_argument("--rules", nargs="+", default=RULES)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--without-model", action="store_true", help="the tree without its value model: faster")
    options = parser.parse_args()
    print("python " + " ".join(sys.argv), flush=True)
    settings = TreeSettings(model=None) if options.without_model else TreeSettings()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with ProcessPoolExecutor(max_workers=options.workers) as pool:
        for table, price in product(options.tables, options.prices):
            print(f"\n{table}, price {price:g}, compute {options.compute:g}, {options.seeds} seeds\n")
            print("| promotions | regret | minus old | designs | at rung 1 |\n|---|---|---|---|---|")
            base: list[Found] = []
            for rule in options.rules:
                run = partial(play, options.data, table, rule, price, options.compute, settings)
                found = list(pool.map(run, seeds))
                base = base or found
                print(line(rule, found, base), flush=True)


if __name__ == "__main__":
    main()
