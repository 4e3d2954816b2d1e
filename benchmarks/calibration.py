"""Do results come where the value model of policy `tree` says they will?

    python benchmarks/calibration.py --data DIR [--tables nb201-c10 ...] [--seeds 20] [--queries 200]

DIR holds the tables (see `benchmarks/search_tables.py`). Each result is foretold before the model learns it. Printed,
over the last 40 results before each checkpoint and as the mean of the seeds, are the share within their 90% interval
and Kendall's tau between what was foretold and what came, each with the half width of its 95% interval, and the share
of seeds in which the model was not trusted at that moment. A search that has found the best of its table has ended.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from search_play import Game, table_of
from search_tables import READERS

from netwright.search.calibration import Calibration
from netwright.search.tree import TreePolicy

CHECKPOINTS = (25, 50, 100, 200)


def search(data: Path, table: str, seed: int, queries: int) -> Iterator[Calibration]:
    """Play one search and yield its calibration after each result."""
    policy, game = TreePolicy(seed=seed, prices=[1.0]), Game(table_of(data, table), seed)
    for index in range(queries):
        action = policy.ask(index, game.sketch)
        network = game.propose(action)
        policy.tell(game.answer(action, network))
        if network is not None:
            yield policy.calibration
            if game.table.values[network] >= game.table.best:
                return


def mean(values: list[float]) -> str:
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):5.2f} ± {half:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", default=list(READERS), choices=list(READERS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    print(f"{'table':12} {'results':>7} {'searches':>8}  {'within 90%':13}  {'tau':13}  not trusted")
    for table in options.tables:
        seen: dict[int, list[tuple[float, float, bool]]] = {mark: [] for mark in CHECKPOINTS}
        for seed in range(options.seeds):
            for count, calibration in enumerate(search(options.data, table, seed, options.queries), start=1):
                if count in seen and calibration.coverage is not None:
                    seen[count].append((calibration.coverage, calibration.ranking, calibration.trusted))
        for count, rows in seen.items():
            if rows:
                coverage, ranking, trusted = (list(column) for column in zip(*rows, strict=True))
                doubted = 1.0 - np.mean(trusted)
                print(f"{table:12} {count:7} {len(rows):8}  {mean(coverage):13}  {mean(ranking):13}  {doubted:.0%}")


if __name__ == "__main__":
    main()
