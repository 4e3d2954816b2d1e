"""What the memory bears: the time of searches, growth, readers beside a writer, and kills.

    python benchmarks/memory.py search [--sizes 10000 100000 ...] [--rounds 60] [--keep DIR]
    python benchmarks/memory.py growth [--trials 12]
    python benchmarks/memory.py readers [--seconds 300]
    python benchmarks/memory.py kills [--times 200]

`search` makes memories of so many experiments (see memory_made.py) and prints milliseconds of searches in a process
that has them open, the first of each kind apart, and what the processor took of them; --keep keeps the memories, and
uses those that are there. `growth` runs a small campaign and prints by how many bytes the file grows with each
experiment. `readers` has one process write experiments while eight search and list, and prints errors and the longest
waits. `kills` ends a writer by SIGKILL at random moments, and looks each time whether the file opens and holds whole
experiments only.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import memory_made
import memory_strain
import numpy as np

from netwright.memory.filters import Condition, Filter
from netwright.memory.search import Like, search
from netwright.memory.store import Memory

LIMITS = {10_000: 20.0, 100_000: 100.0, 1_000_000: 1000.0}
"""Milliseconds of p95 that a search may take, by experiments."""

Search = Callable[[], object]


def searches(memory: Memory, maker: memory_made.Maker, rng: random.Random) -> dict[str, Callable[[], Search]]:
    """Kinds of searches; each makes one with words, designs and numbers of its own."""
    campaigns = [each.name for each in memory.campaigns()]

    def like() -> Like:
        return Like(rng.choice(maker.structures))

    def under() -> Filter:
        return Filter(where=(Condition("loss", "<", rng.gauss(1.5, 0.1)), Condition("recall", ">", rng.random() / 2)))

    def rare() -> str:
        return " ".join(rng.sample(maker.vocabulary[100:], 3))

    def one(text: str = "", **more: object) -> Search:
        return lambda: search(memory, text, limit=10, **more)  # type: ignore[arg-type]

    return {
        "3 rare words": lambda: one(rare()),
        "8 words as they come": lambda: one(maker.words(8)),
        "a sentence of a design": lambda: one(rng.choice(maker.drafts).hypothesis[:200]),
        "common words alone": lambda: one("memory state attention"),
        "structure": lambda: one(like=like()),
        "words and structure": lambda: one(maker.words(4), like=like()),
        "words and numbers": lambda: one(maker.words(4), only=under()),
        "structure, numbers, outcome": lambda: one(like=like(), only=Filter(where=under().where, outcome="better")),
        "words in a campaign": lambda: one(maker.words(4), only=Filter(campaign=rng.choice(campaigns))),
    }


def measured(home: Path, rounds: int) -> Iterator[tuple[str, float, list[float], list[float]]]:
    """By kind of search: the milliseconds of the first, those of the others, and what the processor took of these."""
    rng = random.Random(0)
    with Memory.open(home, create=False, read_only=True) as memory:
        for name, make in searches(memory, memory_made.Maker(seed=7), rng).items():
            times, busy = [], []
            for _ in range(rounds + 1):
                ask = make()
                began, worked = time.perf_counter(), time.process_time()
                ask()
                times.append(1000 * (time.perf_counter() - began))
                busy.append(1000 * (time.process_time() - worked))
            yield name, times[0], times[1:], busy[1:]


def print_searches(sizes: list[int], rounds: int, keep: Path | None) -> None:
    """The table of searches."""
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            home = (keep or Path(folder)) / f"made-{size}"
            began = time.perf_counter()
            if not home.exists():
                memory_made.make(home, size)
                print(f"made in {time.perf_counter() - began:.0f} s")
            mebibytes = sum(path.stat().st_size for path in home.glob("memory.db*")) / 2**20
            print(f"{size} experiments, {mebibytes:.0f} MiB; milliseconds, {rounds} warm searches of each kind")
            print(f"{'':30} {'first':>8} {'p50':>8} {'p95':>8} {'CPU p50':>8} {'CPU p95':>8}")
            everything: list[tuple[float, float]] = []
            for name, first, times, busy in measured(home, rounds):
                everything += zip(times, busy, strict=True)
                print(f"{name:30} {first:8.1f} {_quantiles(times)} {_quantiles(busy)}", flush=True)
            limit = f"  (p95 to reach: {LIMITS[size]:g})" if size in LIMITS else ""
            print(f"{'all':30} {'':8} " + " ".join(map(_quantiles, zip(*everything, strict=True))) + f"{limit}\n")


def _quantiles(times: Iterable[float]) -> str:
    return " ".join(f"{value:8.1f}" for value in np.percentile(list(times), [50, 95]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    asked = parts.add_parser("search")
    asked.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    asked.add_argument("--rounds", type=int, default=60)
    asked.add_argument("--keep", type=Path)
    parts.add_parser("growth").add_argument("--trials", type=int, default=12)
    parts.add_parser("readers").add_argument("--seconds", type=float, default=300.0)
    parts.add_parser("kills").add_argument("--times", type=int, default=200)
    options = parser.parse_args()
    if options.part == "search":
        print_searches(options.sizes, options.rounds, options.keep)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if options.part == "growth":
            memory_strain.print_growth(home, options.trials)
        elif options.part == "readers":
            memory_strain.print_readers(home, options.seconds)
        else:
            memory_strain.print_kills(home, options.times)


if __name__ == "__main__":
    main()
