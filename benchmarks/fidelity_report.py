"""What `fidelity.py` measured: the CSV of its runs, and the tables that are printed from it."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from fidelity_statistics import (
    Agreement,
    Estimate,
    Values,
    agreement,
    estimate,
    frontier,
    mixtures,
    score,
    seed_mean,
    spearman,
    spread_of,
)

from netwright.evaluator.tasks.suite import SUITES

SHORT, LONG = 0, 1
FIRST_LONG_SEED = 1000
REFERENCE = "softmax_attention"


@dataclass(frozen=True)
class Architecture:
    """`name` ends with a hash of the code: one that is changed counts as another."""

    name: str
    origin: str
    source: str


@dataclass(frozen=True)
class Run:
    """One line of the CSV; `loss_nats` is inf where the training failed, and `failure` says how."""

    task: str
    architecture: str
    origin: str
    rung: int
    seed: int
    loss_nats: float
    core_seconds: float
    failure: str = ""


class Ledger:
    """The CSV of all runs, each appended as it ends; a last line that a crash cut short does not count."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: list[Run] = []
        if path.exists():
            whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
            self.runs = [_parsed(row) for row in csv.DictReader(whole.splitlines())]

    def mend(self) -> None:
        """Make the file ready to be appended to: cut what follows the last whole line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        os.truncate(self.path, self.path.read_bytes().rfind(b"\n") + 1)

    def append(self, run: Run) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if file.tell() == 0:
                writer.writerow(field.name for field in fields(Run))
            writer.writerow(astuple(run))
        self.runs.append(run)

    def strangers(self, tasks: Collection[str], architectures: Iterable[Architecture]) -> int:
        """Count the runs of other tasks (another budget is another task) or architectures."""
        names = {architecture.name for architecture in architectures}
        return sum(run.task not in tasks or run.architecture not in names for run in self.runs)


def _parsed(row: dict[str, str]) -> Run:
    return Run(
        task=row["task"],
        architecture=row["architecture"],
        origin=row["origin"],
        rung=int(row["rung"]),
        seed=int(row["seed"]),
        loss_nats=float(row["loss_nats"]),
        core_seconds=float(row["core_seconds"]),
        failure=row["failure"],
    )


def line_of(run: Run) -> str:
    result = run.failure or f"{run.loss_nats:.4f} nats"
    return f"{run.task} rung {run.rung} seed {run.seed} {run.architecture}: {result}, {run.core_seconds:.1f} s"


class Figures:
    """The runs as arrays: `losses` (2 rungs, tasks, architectures, seeds) in nats, `core_seconds` alike."""

    def __init__(self, runs: Iterable[Run], tasks: Sequence[str], architectures: Sequence[Architecture]) -> None:
        task_at = {task: place for place, task in enumerate(tasks)}
        at = {architecture.name: place for place, architecture in enumerate(architectures)}
        chosen = [run for run in runs if run.task in task_at and run.architecture in at]
        self.failures = [run for run in chosen if run.failure]
        seed_at = {seed: place for place, seed in enumerate(sorted({run.seed % FIRST_LONG_SEED for run in chosen}))}
        self.losses = np.full((2, len(tasks), len(at), len(seed_at)), np.nan)
        self.core_seconds = self.losses.copy()
        for run in chosen:
            where = (run.rung, task_at[run.task], at[run.architecture], seed_at[run.seed % FIRST_LONG_SEED])
            self.losses[where], self.core_seconds[where] = run.loss_nats, run.core_seconds
        self._baselines = np.array([each.origin == "baseline" for each in architectures])
        self._reference = next(i for i, each in enumerate(architectures) if each.name.startswith(f"{REFERENCE}-"))

    def cost(self, rung: int, task: int) -> float:
        """CPU seconds per architecture, all seeds of it together."""
        seconds = self.core_seconds[rung, task]
        trained = int((~np.isnan(seconds)).any(-1).sum())
        return float(np.nansum(seconds)) / trained if trained else math.nan

    def whole(self) -> list[int]:
        """Return the tasks on which every architecture has both rungs, and the reference did not fail."""
        means = seed_mean(self.losses)
        trained = ~np.isnan(means).any((0, 2)) & np.isfinite(means[:, :, self._reference]).all(0)
        return [int(task) for task in np.flatnonzero(trained)]

    def scores(self, rung: int, task: int, scale: float | None = None) -> Values:
        """Return the scores (architectures, seeds) of a task that a mixture, or a suite with that scale, is made of."""
        losses = self.losses[rung, task]
        means = seed_mean(losses)
        return score(losses, float(means[self._reference]), scale or spread_of(means[self._baselines]))

    def suite(self, members: Mapping[int, float]) -> tuple[Values, Values]:
        """Return the losses (architectures, seeds) at both rungs of a suite of tasks (places) with scales in nats."""
        short, long = (
            -np.stack([self.scores(rung, task, scale) for task, scale in members.items()]).mean(0)
            for rung in (SHORT, LONG)
        )
        return short, long


def report(figures: Figures, names: Sequence[str]) -> None:
    print(
        f"\n{'task':20}  n  {'rho (95%)':>20}  {'tau (95%)':>20}  {'kept':10}  between seeds  ceiling  seeds  "
        "core-s/architecture"
    )
    for task, name in enumerate(names):
        found = agreement(figures.losses[SHORT, task], figures.losses[LONG, task])
        _tell(name, found, figures.cost(SHORT, task), figures.cost(LONG, task))
    whole = figures.whole()
    if whole:
        short, long = (np.stack([figures.scores(rung, task) for task in whole]) for rung in (SHORT, LONG))
        costs = [[figures.cost(rung, task) for task in whole] for rung in (SHORT, LONG)]
        _tell(f"mixture of {len(whole)}", agreement(-short.mean(0), -long.mean(0)), sum(costs[SHORT]), sum(costs[LONG]))
    for name, (_, members) in SUITES.items():
        scales = {names.index(each.name): each.scale_nats for each in members if each.name in names}
        if len(scales) == len(members) and set(scales) <= set(whole):
            costs_of = [sum(figures.cost(rung, task) for task in scales) for rung in (SHORT, LONG)]
            _tell(f"{name} (scales of)", agreement(*figures.suite(scales)), *costs_of)
    if left := [name for task, name in enumerate(names) if task not in whole]:
        print(f"not in the mixture, as not every architecture has both rungs or {REFERENCE} failed: {', '.join(left)}")
    print(
        "kept: of the long rung's best third, the share in rung 0's best third, and in its best half\n"
        "between seeds: mean rho of two seeds at rung 0, long rung; ceiling: rho if the rungs differed by seeds alone"
    )
    print(f"a mixture ranks by the mean of tanh((loss of {REFERENCE} - loss) / SD between baselines) over its tasks")
    print("seeds: what share of rho's distance from 1 they explain; core-s: rung 0, long rung, all seeds together")
    for run in figures.failures:
        print(f"failed, counts as last: {line_of(run)}")
    if whole:
        _tell_mixtures([names[task] for task in whole], seed_mean(short), seed_mean(long).mean(0), costs[SHORT])


def _tell(name: str, found: Agreement | None, short_seconds: float, long_seconds: float) -> None:
    if found is None:
        print(f"{name:20}  too few architectures have both rungs")
        return
    first, second = (" none" if rho is None else f"{rho:5.2f}" for rho in found.between_seeds)
    ceiling = "none" if found.ceiling is None else f"{found.ceiling:.2f}"
    share = "none" if found.share_of_seeds is None else f"{found.share_of_seeds:.0%}"
    print(
        f"{name:20} {found.architectures:2}  {_interval(found.rho)}  {_interval(found.tau)}  "
        f"{found.kept[0]:4.0%}, {found.kept[1]:4.0%}  {first}, {second}  "
        f" {ceiling:>7}  {share:>5}  {short_seconds:7.1f}, {long_seconds:7.1f}"
    )


def _interval(found: Estimate) -> str:
    return f"{found.value:5.2f} [{found.low:5.2f}, {found.high:5.2f}]"


def _tell_mixtures(names: Sequence[str], short: Values, target: Values, costs: Sequence[float]) -> None:
    print(f"\nrung 0 of which tasks predicts the long mixture of {len(names)}? Each line: no cheaper one does as well")
    print("(of all mixtures of up to four tasks; the best of many is partly luck)")
    print(f"{'rho (95%)':>20}  core-s/architecture  rho per 100 core-s  tasks")
    kept = frontier(list(mixtures(short, target, costs)))
    per_cost = [100 * each.rho / max(each.core_seconds, 0.01) for each in kept]
    for each, worth in zip(kept, per_cost, strict=True):
        found = estimate(spearman, short[list(each.tasks)].mean(0), target)
        said = " + ".join(names[task] for task in each.tasks) + (" (most per second)" if worth == max(per_cost) else "")
        print(f"{_interval(found)}  {each.core_seconds:19.1f}  {worth:18.2f}  {said}")
    if not kept:
        print("none: no mixture ranks as the long one does")
