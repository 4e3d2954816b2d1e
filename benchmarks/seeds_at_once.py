"""What training several seeds at once costs, and how far its results are from those of seeds trained alone.

    OMP_NUM_THREADS=1 nice python benchmarks/seeds_at_once.py [--tasks bytes recall] [--at-once 1 2 4 8] [--steps 12]
        [--whole 4] [--baselines softmax_attention ...] [--device cuda]

First table: milliseconds per step of K seeds alone, one after another, and at once; both ways take turns, medians.
On a CPU they are those of the process's clock on one thread, which other processes disturb least; elsewhere of the
wall clock, with the device's work done. Second table: `--whole` seeds trained for all of rung 0 both ways,
with the validation losses on rows of a fixed key. `noise` is the standard deviation over those seeds, alone.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from netwright.evaluator.budget import batch_rows, step_count
from netwright.evaluator.devices import choose
from netwright.evaluator.loading import pack_weights, seeded_network
from netwright.evaluator.seeding import seed_all
from netwright.evaluator.seeds_at_once import disagreement, train_at_once
from netwright.evaluator.tasks import Task, load_task, training_batches
from netwright.evaluator.tasks.base import Batch
from netwright.evaluator.training import batch_loss, train
from netwright.types import Split

KEY = b"benchmark key, not a secret one."
BASELINES = ("softmax_attention", "gated_convolution", "delta_net", "lstm", "mamba2", "mlp_mixer")
ROUNDS = 3


class Case:
    """One baseline on one task."""

    def __init__(self, task: Task, name: str) -> None:
        self.task, self.spec, self.device = task, task.spec, task.spec.device
        self.tokens = task.spec.rungs[0].tokens
        self._mixer = importlib.import_module(f"netwright.evaluator.baselines.{name}").Mixer
        self._data = task.training_data()

    def network(self, seed: int) -> nn.Module:
        return seeded_network(self.spec, self._mixer, seed=seed).to(self.device)

    def feed(self, seed: int) -> Iterator[Batch]:
        rows = batch_rows(self.spec, self.spec.recipe, tokens=self.tokens)
        return training_batches(self.spec, self._data, seed=seed, batch_size=rows)

    def why_apart(self) -> str:
        return disagreement(range(2), self.network, self.feed, self.spec, self.spec.recipe)

    def alone(self, seeds: Sequence[int], steps: int) -> list[nn.Module]:
        networks = [self.network(seed) for seed in seeds]
        for seed, network in zip(seeds, networks, strict=True):
            seed_all(seed)
            train(
                network,
                self.feed(seed),
                self.spec,
                self.spec.recipe,
                steps=steps,
                on_progress=lambda progress: None,
            )
        return networks

    def at_once(self, seeds: Sequence[int], steps: int) -> list[nn.Module]:
        networks = [self.network(seed) for seed in seeds]
        train_at_once(
            networks,
            [self.feed(seed) for seed in seeds],
            self.spec,
            self.spec.recipe,
            steps=steps,
            on_progress=lambda progress: None,
        )
        return networks

    def losses(self, networks: Sequence[nn.Module]) -> list[float]:
        rows = self.task.held_out(Split.VALIDATION, KEY)
        with torch.no_grad():
            return [float(batch_loss(network.eval(), rows, self.spec)) for network in networks]


def milliseconds(work: Callable[[int], object], steps: int, device: str) -> float:
    """Return what one more step of `work(steps)` takes; what happens once is left out."""
    took = []
    for count in (2, 2 + steps):
        begun = time.process_time() if device == "cpu" else time.perf_counter()
        work(count)
        if device != "cpu":
            torch.cuda.synchronize()
        took.append((time.process_time() if device == "cpu" else time.perf_counter()) - begun)
    return 1e3 * (took[1] - took[0]) / steps


def print_costs(case: Case, label: str, counts: Sequence[int], steps: int) -> None:
    for count in counts:
        seeds = range(count)
        turns = [
            (
                milliseconds(lambda n, seeds=seeds: case.alone(seeds, n), steps, case.device),
                milliseconds(lambda n, seeds=seeds: case.at_once(seeds, n), steps, case.device),
            )
            for _ in range(ROUNDS)
        ]
        alone, together = (statistics.median(column) for column in zip(*turns, strict=True))
        print(f"{label} {count:>3} {alone:>9.1f} {together:>9.1f} {together / alone:>7.2f}", flush=True)


def print_drift(case: Case, label: str, count: int) -> None:
    seeds, steps = range(count), step_count(case.spec, case.spec.recipe, tokens=case.tokens)
    alone, together = case.alone(seeds, steps), case.at_once(seeds, steps)
    losses, others = case.losses(alone), case.losses(together)
    apart = max(abs(a - b) for a, b in zip(losses, others, strict=True))
    same = sum(pack_weights(a) == pack_weights(b) for a, b in zip(alone, together, strict=True))
    noise, shift = statistics.stdev(losses), abs(statistics.fmean(losses) - statistics.fmean(others))
    print(
        f"{label} {count:>3} {steps:>6} {statistics.fmean(losses):>9.4f} {noise:>8.4f} {apart:>10.5f} {shift:>10.5f} "
        f"{same:>5}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["bytes", "recall"])
    parser.add_argument("--baselines", nargs="+", default=BASELINES)
    parser.add_argument("--at-once", nargs="*", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--whole", type=int, default=4, help="0: no whole trainings")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warnings.filterwarnings("ignore", message="There is a performance drop")
    execution = choose(options.device, "float32")
    machine = platform.machine() if execution.device == "cpu" else execution.name
    print(f"{machine}, one thread, torch {torch.__version__}")
    tasks = [load_task(name, execution=execution) for name in options.tasks]
    cases = [(Case(task, name), f"{task.spec.name:<7} {name:<29}") for task in tasks for name in options.baselines]
    apart = {label: why for case, label in cases if (why := case.why_apart())}
    print(f"\n{'task':<7} {'architecture':<29} {'K':>3} {'ms alone':>9} {'at once':>9} {'ratio':>7}")
    for case, label in cases:
        if label in apart:
            print(f"{label} trained alone: {apart[label]}")
        else:
            print_costs(case, label, options.at_once, options.steps)
    if options.whole < 2:
        return
    print(f"\n{'task':<7} {'architecture':<29} {'K':>3} {'steps':>6} {'loss':>9} {'noise':>8} {'most apart':>10}"
          f" {'mean apart':>10} {'equal':>5}")  # fmt: skip
    for case, label in cases:
        if label not in apart:
            print_drift(case, label, options.whole)


if __name__ == "__main__":
    main()
