"""Do the tasks separate the baselines by more than the seed noise, and what does a trial cost?

    OMP_NUM_THREADS=1 python benchmarks/separation.py [--tasks recall bytes] [--seeds 3] [--rung 0]
        [--csv benchmarks/results/separation-recall.csv]

Trains every baseline in this process with the ordinary training loop (no sandbox: baselines are trusted) and
scores it on the validation rows of a fixed key. The interval is a 95% t interval of the mean over seeds; CPU seconds
are those of the training alone, on one thread.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import statistics
import time
from pathlib import Path

import torch

from netwright.evaluator.backbone import build_network
from netwright.evaluator.baselines import MIXERS
from netwright.evaluator.budget import batch_rows, step_count
from netwright.evaluator.statistics import mean_interval
from netwright.evaluator.tasks import Task, load_task, training_batches
from netwright.evaluator.training import batch_loss, train
from netwright.types import Split

KEY = b"benchmark key, not a secret one."


def measure(task: Task, name: str, *, seed: int, rung: int) -> tuple[float, float]:
    """Train one baseline; return its validation loss in nats and the CPU seconds of the training."""
    spec = task.spec
    torch.manual_seed(seed)
    network = build_network(spec, importlib.import_module(f"netwright.evaluator.baselines.{name}").Mixer)
    recipe, tokens = spec.recipe, spec.rungs[rung].tokens
    batches = training_batches(
        spec, task.training_data(), seed=seed, batch_size=batch_rows(spec, recipe, tokens=tokens)
    )
    begun = time.process_time()
    train(
        network, batches, spec, recipe, steps=step_count(spec, recipe, tokens=tokens), on_progress=lambda progress: None
    )
    cpu_seconds = time.process_time() - begun
    with torch.no_grad():
        loss = float(batch_loss(network.eval(), task.held_out(Split.VALIDATION, KEY), spec))
    return loss, cpu_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["recall", "bytes"])
    parser.add_argument("--seeds", type=int, default=3, help="two at least")
    parser.add_argument("--rung", type=int, default=0)
    parser.add_argument("--csv", type=Path, help="also write the figures there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for task in map(load_task, options.tasks):
        for name in MIXERS:
            runs = [measure(task, name, seed=seed, rung=options.rung) for seed in range(options.seeds)]
            losses, seconds = zip(*runs, strict=True)
            mean, interval = mean_interval(losses)
            spread, cpu_seconds = statistics.stdev(losses), statistics.fmean(seconds)
            figures = [round(value, 4) for value in (mean, interval.low, interval.high, spread)]
            rows.append((task.spec.id, name, options.rung, len(losses), *figures, round(cpu_seconds, 1)))
            print(
                f"{task.spec.id:16} {name:30} {mean:7.4f} nats [{interval.low:7.4f}, {interval.high:7.4f}]  "
                f"SD {spread:6.4f}  {cpu_seconds:5.1f} s",
                flush=True,
            )
    if options.csv:
        options.csv.parent.mkdir(parents=True, exist_ok=True)
        with options.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                (
                    "task",
                    "baseline",
                    "rung",
                    "seeds",
                    "mean_nats",
                    "low_nats",
                    "high_nats",
                    "seed_sd_nats",
                    "cpu_seconds",
                )
            )
            writer.writerows(rows)


if __name__ == "__main__":
    main()
