"""How much each search policy finds per training, on complete tables of real accuracies.

    python benchmarks/search.py --data DIR [--tables nb201-c10 ...] [--policies tree random evolution ...] [--seeds 200]
        [--flight 1 4 16] [--noisy] [--harness DIR] [--references gp-bo tpe ...] [--cache DIR] [--csv OUT]

DIR holds the tables (see `benchmarks/search_tables.py`). Policies see them through a campaign's ask, tell and sketch:
draft is a random network, combine a uniform crossover, every other operator changes one decision. A query is the first
look at a network; networks that compute the same function are duplicates and never sketched, but by `tree without
dedup`. Regret is in per cent of accuracy below the best of the table; `to 0.1` is the median query that came within 0.1
of it. `--noisy` tells one training instead of the mean of three, where the table has them; regret is still that of the
mean. HARNESS is the folder of the reference searchers, which run on the same seeds and take networks of the same
function for different ones.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from search_play import CHECKPOINTS, VARIANTS, Job, play
from search_tables import READERS

from netwright.search.policy import POLICIES

BLOCK = 10
REFERENCES = ("gp-bo", "tpe", "hill-climb", "reg-evo-p20", "random")


@dataclass(frozen=True)
class Result:
    """Regret after each query, `(seeds, queries)`, and milliseconds per ask and tell together, `(actions,)`."""

    regret: np.ndarray
    milliseconds: np.ndarray


def results_of(jobs: Sequence[Job], cache: Path | None, workers: int) -> dict[Job, Result]:
    """Run what the cache does not have, oldest table first, and say what is done."""
    done: dict[Job, Result] = {}
    with ProcessPoolExecutor(max_workers=workers) as pool:
        waiting = {job: None if stored(job, cache) else pool.submit(play, job) for job in jobs}
        for count, (job, future) in enumerate(waiting.items(), start=1):
            if future is None:
                with np.load(stored(job, cache)) as file:
                    done[job] = Result(file["regret"], file["milliseconds"])
            else:
                done[job] = Result(*future.result())
                if cache is not None:
                    np.savez_compressed(place(job, cache), **vars(done[job]))
            print(f"\r{count}/{len(jobs)} {job.table} {job.policy}        ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return done


def place(job: Job, cache: Path) -> Path:
    return cache / ("__".join(str(part) for part in astuple(job)[2:]).replace("/", "_") + ".npz")


def stored(job: Job, cache: Path | None) -> Path | None:
    found = None if cache is None else place(job, cache)
    return found if found is not None and found.exists() else None


def joined(results: Sequence[Result]) -> Result:
    return Result(np.concatenate([r.regret for r in results]), np.concatenate([r.milliseconds for r in results]))


def to_target(regret: np.ndarray, target: float = 0.1) -> np.ndarray:
    """The query that first came within the target, `(seeds,)`; infinity where none did."""
    near = regret <= target + 1e-9
    return np.where(near.any(axis=1), near.argmax(axis=1) + 1.0, np.inf)


def interval_of_median(values: np.ndarray) -> tuple[float, float]:
    """95% bootstrap interval."""
    picks = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.quantile(np.median(values[picks], axis=1), (0.025, 0.975), method="nearest")
    return float(low), float(high)


def whole(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "-"


def line(name: str, result: Result, random: np.ndarray | None) -> str:
    """Mean regret, half width of its 95% interval, ratio to random search; median to 0.1 with interval; cost."""
    cells = []
    for checkpoint in CHECKPOINTS:
        if checkpoint > result.regret.shape[1]:
            cells.append("")
            continue
        at = result.regret[:, checkpoint - 1]
        half = 1.96 * at.std(ddof=1) / np.sqrt(len(at)) if len(at) > 1 else np.nan
        ratio = "" if random is None else f" ({at.mean() / random[:, checkpoint - 1].mean():.3f})"
        cells.append(f"{at.mean():.3f} ±{half:.3f}{ratio}")
    reached = to_target(result.regret)
    low, high = interval_of_median(reached)
    cells.append(f"{whole(float(np.median(reached)))} [{whole(low)}, {whole(high)}]")
    cells += [f"{value:.1f}" for value in np.quantile(result.milliseconds, (0.5, 0.95))]
    return f"| {name} | {' | '.join(cells)} |"


def report(results: dict[Job, Result], writer: csv.writer | None) -> None:
    """Print one table of lines for each table, number in flight and kind of reading, then the means over tables."""
    groups: dict[tuple[str, int, bool], dict[str, list[Result]]] = {}
    for job, result in results.items():
        groups.setdefault((job.table, job.flight, job.noisy), {}).setdefault(job.policy, []).append(result)
    ratios: dict[tuple[int, bool, str], list[np.ndarray]] = {}
    for (table, flight, noisy), found in groups.items():
        told = ", one training told" if noisy else ""
        runs = {policy: joined(parts) for policy, parts in found.items()}
        base = runs.get("random")
        random = None if base is None else base.regret
        seeds = len(next(iter(runs.values())).regret)
        print(f"\n{table}, {seeds} seeds, {flight} in flight{told}: mean regret (relative to random)\n")
        print(f"| policy | {' | '.join(map(str, CHECKPOINTS))} | to 0.1 | ms | ms p95 |")
        print("|" + "---|" * (len(CHECKPOINTS) + 4))
        for policy, result in runs.items():
            print(line(policy, result, random))
            marks = [c for c in CHECKPOINTS if c <= result.regret.shape[1]]
            means = np.array([result.regret[:, c - 1].mean() for c in marks])
            if random is not None:
                ratio = means / np.array([random[:, c - 1].mean() for c in marks])
                ratios.setdefault((flight, noisy, policy), []).append(ratio)
            if writer is not None:
                for seed, reached in enumerate(to_target(result.regret)):
                    at = [round(float(result.regret[seed, c - 1]), 4) for c in marks]
                    writer.writerow([table, flight, int(noisy), policy, seed, whole(reached), *at])
    print("\nmeans over the tables: regret relative to random\n")
    for (flight, noisy, policy), rows in ratios.items():
        if len({len(row) for row in rows}) == 1:
            told = ", one training told" if noisy else ""
            print(f"{flight} in flight{told}: {policy}: {' / '.join(f'{r:.3f}' for r in np.mean(rows, axis=0))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tables", nargs="+", default=list(READERS), choices=list(READERS))
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=[*POLICIES, *VARIANTS])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--flight", type=int, nargs="+", default=[1], help="asks unanswered at once")
    parser.add_argument("--noisy", action="store_true")
    parser.add_argument("--harness", type=Path)
    parser.add_argument("--references", nargs="+", default=list(REFERENCES), help="with --harness")
    parser.add_argument("--cache", type=Path, help="folder in which finished searches are kept and found again")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    if options.cache is not None:
        options.cache.mkdir(parents=True, exist_ok=True)
    print("python " + " ".join(sys.argv), flush=True)
    results = results_of(jobs_of(options), options.cache, options.workers)
    if options.csv is None:
        report(results, None)
        return
    with options.csv.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(["table", "flight", "noisy", "policy", "seed", "to 0.1", *map(str, CHECKPOINTS)])
        report(results, writer)


def jobs_of(options: argparse.Namespace) -> list[Job]:
    """One job for each ten seeds."""
    names = [(name, None) for name in options.policies]
    if options.harness is not None:
        names += [(f"reference {name}", options.harness) for name in options.references]
    last = options.first_seed + options.seeds
    starts = range(options.first_seed, last, BLOCK)
    return [
        Job(
            data=options.data,
            harness=harness,
            table=table,
            policy=name,
            flight=flight,
            noisy=options.noisy,
            queries=options.queries,
            first=first,
            count=min(BLOCK, last - first),
        )
        for table, flight, (name, harness), first in product(options.tables, options.flight, names, starts)
        if harness is None or flight == 1
    ]


if __name__ == "__main__":
    main()
