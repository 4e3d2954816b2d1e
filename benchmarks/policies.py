"""Which search policy finds the better design in real campaigns, at equal numbers of trained candidates?

    python benchmarks/policies.py [--tasks bytes fuzzy-recall] [--policies tree evolution random] [--seeds 5]
        [--trials 24] [--rung-tokens 64000 128000] [--fresh 3] [--workers 2] [--home DIR] [--report-only]

Runs `netwright run` for every task, seed and policy, and `netwright confirm` for what each comes to: the design of the
best expected loss, trained from scratch on fresh seeds (the same for all) and scored on the locked test split. The
planner is the grammar; no training is stopped early, so that all policies train the same number of designs to the end,
and no search starts from what another one found.
What a campaign has finished is in the memory under DIR, and the same command goes on from there.

Printed are confirmed losses by policy, with 95% t intervals over campaigns, and differences to the first policy, paired
by seed. A difference whose interval holds zero is none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Outcome:
    """What one campaign came to: the mean loss of its best design on the locked split, in nats."""

    task: str
    policy: str
    seed: int
    trained: int
    candidate: str
    title: str
    confirmed_nats: float


def netwright(*arguments: str) -> dict[str, Any]:
    """Run a command with --json and return what it printed; its progress goes to stderr.

    Raises:
        subprocess.CalledProcessError: it failed, and said why on stderr.
    """
    command = [sys.executable, "-m", "netwright", *arguments, "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    return found


def campaign(options: argparse.Namespace, task: str, policy: str, seed: int) -> Outcome:
    """Run one campaign, or go on with it, and confirm its best design."""
    name = f"{task}-{policy}-{seed}"
    file = options.home / f"{name}.toml"
    file.write_text(
        f'name = "{name}"\ntask = "{task}"\nseed = {seed}\nworkers = {options.workers}\n'
        f"rung_tokens = {options.rung_tokens}\n\n[budget]\ntrials = {options.trials}\nminutes = 10000\n\n"
        f'[search]\npolicy = "{policy}"\nearly_stop = false\nwarm = false\n'
    )
    home = ("--home", str(options.home))
    ran = netwright("run", str(file), *home)
    confirmed = netwright(
        *("confirm", "--campaign", name, "--seeds", str(options.fresh), "--rates", "1", "--repeats", "0"),
        *("--workers", str(options.workers), *home),
    )
    winner = next(row for row in confirmed["rows"] if row["role"] == "candidate")
    return Outcome(
        task=task,
        policy=policy,
        seed=seed,
        trained=sum(not row["is_baseline"] for row in ran["leaderboard"]),
        candidate=winner["id"],
        title=winner["title"],
        confirmed_nats=winner["mean"],
    )


def interval(values: Sequence[float]) -> str:
    """Mean and half width of the t interval."""
    half = stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1) * stats.sem(values) if len(values) > 1 else float("nan")
    return f"{np.mean(values):+8.4f} ± {half:.4f}"


def rows(outcomes: Sequence[Outcome], policies: Sequence[str]) -> Iterator[str]:
    """Yield a line per task and policy, over the seeds that every policy has."""
    by: Mapping[tuple[str, str, int], Outcome] = {(each.task, each.policy, each.seed): each for each in outcomes}
    for task in dict.fromkeys(each.task for each in outcomes):
        seeds = [s for s in sorted({each.seed for each in outcomes}) if all((task, p, s) in by for p in policies)]
        if not seeds:
            continue
        first = [by[task, policies[0], seed].confirmed_nats for seed in seeds]
        for policy in policies:
            losses = [by[task, policy, seed].confirmed_nats for seed in seeds]
            trained = np.mean([by[task, policy, seed].trained for seed in seeds])
            paired = [a - b for a, b in zip(losses, first, strict=True)]
            against = "" if policy == policies[0] else interval(paired)
            yield f"{task:14} {policy:12} {len(seeds)}  {trained:7.1f}  {interval(losses):20}  {against}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["bytes", "fuzzy-recall"])
    parser.add_argument("--policies", nargs="+", default=["tree", "evolution", "random"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--rung-tokens", nargs="+", type=int, default=[64_000, 128_000])
    parser.add_argument("--fresh", type=int, default=3, help="seeds of the confirmation")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--home", type=Path, default=Path("benchmarks/results/policies"))
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    options.home.mkdir(parents=True, exist_ok=True)
    book = options.home / "outcomes.jsonl"
    lines = book.read_text().splitlines() if book.exists() else []
    outcomes = [Outcome(**json.loads(line)) for line in lines]
    done = {(each.seed, each.task, each.policy) for each in outcomes}
    for seed, task, policy in product(range(options.seeds), options.tasks, options.policies):
        if (seed, task, policy) in done or options.report_only:
            continue
        outcomes.append(campaign(options, task, policy, seed))
        with book.open("a") as file:
            file.write(json.dumps(asdict(outcomes[-1])) + "\n")
    print(f"{'task':14} {'policy':12} n  trained  {'confirmed loss, nats':20}  minus that of {options.policies[0]}")
    print("\n".join(rows(outcomes, options.policies)))


if __name__ == "__main__":
    main()
