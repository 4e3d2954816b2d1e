"""Which short training ranks architectures most as the long ones of `fidelity.py` did?

    python benchmarks/short_rungs.py --tasks bytes fuzzy-recall --variations plain seed=1 batch_size=4 lr=0.005
        scale=1.6666667 [--designs 12] [--workers 2] [--csv benchmarks/results/short-rungs.csv] [--report-only]

Trains the architectures of `fidelity.py` as its task's rung 0 has it (`plain`) and with one or more settings varied,
joined by commas: the seed, the tokens by a factor (`scale`), or any of the recipe. Nothing long is trained: what is
ranked are the long runs in fidelity.csv. Every training is a line of the CSV as soon as it ends, and the same command
goes on from there. Intervals are 95%, from resampling architectures; that of a difference to `plain` resamples both
alike.
"""

from __future__ import annotations

import argparse
import csv
import math
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
from fidelity import LONGER, RESULTS, Job, baselines, carry_out, designs, loaded, settle
from fidelity_report import LONG, REFERENCE, SHORT, Architecture, Ledger, Run
from fidelity_statistics import Values, estimate, kept, score, spearman

from netwright.evaluator.tasks import load_task
from netwright.evaluator.tasks.suite import SUITES
from netwright.types import Recipe

PLAIN = "plain"
VARIED_RUNS = RESULTS.with_name("short-rungs.csv")


def settings_of(variation: str) -> dict[str, float]:
    """Read `batch_size=4,lr=0.005`; {} for `plain`.

    Raises:
        ValueError: a setting that is neither the seed, the scale nor in a recipe, or a value that is no number.
    """
    if variation == PLAIN:
        return {}
    settings = {}
    for part in variation.split(","):
        name, _, value = part.partition("=")
        if name not in {"seed", "scale", *Recipe.model_fields}:
            raise ValueError(f"{part!r}: expected seed=, scale= or a setting of a recipe such as lr=")
        number = float(value)
        settings[name] = int(number) if number.is_integer() else number
    return settings


def job_of(task: str, variation: str, architecture: Architecture) -> Job:
    """One training of the short rung, varied."""
    settings = settings_of(variation)
    seed, scale = int(settings.pop("seed", 0)), settings.pop("scale", 1.0)
    tokens = round(scale * load_task(task).spec.rungs[SHORT].tokens)
    rungs = (tokens, LONGER * tokens)
    return Job(task, loaded(task, rungs).spec.id, rungs, architecture, SHORT, seed, recipe=tuple(settings.items()))


def variation_of(run: Run) -> str:
    """The runs of a varied rung stand under the task's name and the variation, as `bytes lr=0.005`."""
    return run.task.partition(" ")[2]


def work_off(jobs: Mapping[tuple[str, str, str], Job], ledger: Ledger, workers: int) -> None:
    """Train what the ledger lacks."""
    done = {(*run.task.split(" "), run.architecture) for run in ledger.runs}
    waiting = {key: job for key, job in jobs.items() if key not in done}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=settle) as pool:
        futures = {pool.submit(carry_out, job): key for key, job in waiting.items()}
        for number, future in enumerate(as_completed(futures), 1):
            task, variation, _ = futures[future]
            run = replace(future.result(), task=f"{task} {variation}")
            ledger.append(run)
            print(f"{number}/{len(waiting)} {run.task} {run.architecture}: {run.loss_nats:.4f} nats", flush=True)


def long_losses(task: str, names: Sequence[str]) -> Values:
    """Losses (A,) of the long runs of the task in fidelity.csv, in nats.

    Raises:
        KeyError: an architecture that was not trained there.
    """
    with RESULTS.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["rung"] == str(LONG)]
    found = {row["architecture"]: float(row["loss_nats"]) for row in rows if row["task"].rpartition("-")[0] == task}
    return np.array([found[name] for name in names])


def gain(short: Values, plain: Values, long: Values) -> float:
    """Return how much more `short` correlates in rank with `long` than `plain` does; losses (A,)."""
    return spearman(short, long) - spearman(plain, long)


def suite_losses(members: Mapping[str, float], losses: Mapping[str, Values], reference: int) -> Values:
    """Losses (A,) of a suite of tasks with these scales in nats, in points."""
    scores = [score(losses[task], float(losses[task][reference]), scale) for task, scale in members.items()]
    return np.asarray(-np.mean(scores, axis=0))


def rankings(runs: Sequence[Run], tasks: Sequence[str], names: Sequence[str]) -> Iterator[tuple[str, str, Values]]:
    """Yield task (or suite), variation and losses (A,) of every variation all architectures were trained with."""
    found: dict[tuple[str, str], dict[str, Run]] = {}
    for run in runs:
        found.setdefault((run.task.split(" ")[0], variation_of(run)), {})[run.architecture] = run
    whole = {
        key: np.array([of[name].loss_nats for name in names]) for key, of in found.items() if set(names) <= set(of)
    }
    for (task, variation), losses in whole.items():
        yield task, variation, losses
    reference = next(place for place, name in enumerate(names) if name.startswith(f"{REFERENCE}-"))
    for name, (_, parts) in SUITES.items():
        members = {each.name: each.scale_nats for each in parts}
        for variation in dict.fromkeys(variation for _, variation in whole):
            if set(members) <= set(tasks) and all((task, variation) in whole for task in members):
                losses_of = {task: whole[task, variation] for task in members}
                yield name, variation, suite_losses(members, losses_of, reference)


def report(ledger: Ledger, tasks: Sequence[str], names: Sequence[str]) -> None:
    reference = next(place for place, name in enumerate(names) if name.startswith(f"{REFERENCE}-"))
    long = {task: long_losses(task, names) for task in tasks}
    for name, (_, parts) in SUITES.items():
        if {each.name for each in parts} <= set(tasks):
            long[name] = suite_losses({each.name: each.scale_nats for each in parts}, long, reference)
    found = {(task, variation): losses for task, variation, losses in rankings(ledger.runs, tasks, names)}
    print(f"{'task':14} {'rung 0':24}  {'rho (95%)':>20}  {'more than plain (95%)':>22}  {'kept':10} core-s")
    for (task, variation), losses in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] != PLAIN)):
        rho, text = estimate(spearman, losses, long[task]), ""
        if variation != PLAIN and (task, PLAIN) in found:
            more = estimate(gain, losses, found[task, PLAIN], long[task])
            text = f"{more.value:+5.2f} [{more.low:+5.2f}, {more.high:+5.2f}]"
        members = [each.name for each in SUITES[task][1]] if task in SUITES else [task]
        cost = sum(mean_seconds(ledger.runs, member, variation) for member in members)
        shares = f"{kept(losses, long[task], 1 / 3):4.0%}, {kept(losses, long[task], 1 / 2):4.0%}"
        interval = f"{rho.value:5.2f} [{rho.low:5.2f}, {rho.high:5.2f}]"
        print(f"{task:14} {variation:24}  {interval}  {text:>22}  {shares} {cost:6.1f}")
    print("kept: of the long rung's best third, the share in rung 0's best third, and in its best half")


def mean_seconds(runs: Sequence[Run], task: str, variation: str) -> float:
    seconds = [run.core_seconds for run in runs if run.task == f"{task} {variation}"]
    return sum(seconds) / len(seconds) if seconds else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["bytes", "fuzzy-recall"])
    parser.add_argument("--variations", nargs="+", default=[PLAIN])
    parser.add_argument("--designs", type=int, default=12, help="drafts of the grammar")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of one thread each")
    parser.add_argument("--csv", type=Path, default=VARIED_RUNS)
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    architectures = [*baselines(), *designs(options.designs)]
    ledger = Ledger(options.csv)
    try:
        jobs = {
            (task, variation, each.name): job_of(task, variation, each)
            for variation in options.variations
            for task in options.tasks
            for each in architectures
        }
    except ValueError as error:
        parser.error(str(error))
    if not options.report_only:
        ledger.mend()
        work_off(jobs, ledger, options.workers)
    report(ledger, options.tasks, [each.name for each in architectures])


if __name__ == "__main__":
    main()
