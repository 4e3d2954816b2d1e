"""How fast trainings are on a device, and how much of it they use.

    OMP_NUM_THREADS=1 python benchmarks/accelerator.py [--device auto] [--precision auto] [--task bytes]
        [--baselines softmax_attention ...] [--steps 40] [--at-once 1 8] [--backends cudagraphs inductor]
        [--workers 1 4] [--trials 8]

First table, in this process and for each baseline: training tokens per second as the network stands, milliseconds per
step, the most memory that torch held on the device, and the share of the device's peak that the network's matrix
products come to (three times those of a forward pass; the peak is NVIDIA's figure for dense products in that precision,
for devices that are known here). With `--at-once K` what a step of K seeds at once takes, over that of one. With
`--backends` tokens per second when torch.compile is used, with what compiling took, or why it was not.

Second table, through the sandbox as `netwright baselines` does: trials of rung 0 per hour, by the number of slots.

Times are of the wall clock with the device's work done, medians of three, after warming up.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from netwright.campaign.single import evaluate_baselines
from netwright.config import SandboxConfig
from netwright.evaluator import execution, training
from netwright.evaluator.baselines import CORE
from netwright.evaluator.budget import batch_rows
from netwright.evaluator.counts import flops_per_token
from netwright.evaluator.devices import Execution, choose
from netwright.evaluator.loading import seeded_network
from netwright.evaluator.measurement import machine_name
from netwright.evaluator.seeds_at_once import train_at_once
from netwright.evaluator.tasks import load_task, training_batches
from netwright.evaluator.tasks.base import Batch
from netwright.types import TrialStatus

PEAK_TFLOPS = {
    "H100 PCIe": {"bf16": 756, "tf32": 378, "float32": 51},
    "H100": {"bf16": 989, "tf32": 495, "float32": 67},
    "H200": {"bf16": 989, "tf32": 495, "float32": 67},
    "A100": {"bf16": 312, "tf32": 156, "float32": 19.5},
}
"""By a part of the name, the first that fits: NVIDIA's data sheets, dense products (with sparsity they are double)."""
WARM_STEPS, ROUNDS = 5, 3
BACKWARD = 3
"""A step is a forward pass and a backward pass of twice its products."""


class Case:
    """One baseline on one task."""

    def __init__(self, task_name: str, name: str, how: Execution) -> None:
        self.task = load_task(task_name, execution=how)
        self.spec = self.task.spec
        self.mixer = importlib.import_module(f"netwright.evaluator.baselines.{name}").Mixer
        self.rows = batch_rows(self.spec, self.spec.recipe, tokens=self.spec.rungs[0].tokens)
        self._data = self.task.training_data()

    def network(self, seed: int = 0) -> nn.Module:
        return seeded_network(self.spec, self.mixer, seed=seed).to(self.spec.device)

    def feed(self, seed: int = 0) -> Iterator[Batch]:
        return training_batches(self.spec, self._data, seed=seed, batch_size=self.rows)

    def step_seconds(self, network: nn.Module, forward: execution.Forward, steps: int) -> float:
        """Return what a step of training takes."""

        def work(count: int) -> object:
            return training.train(
                network, self.feed(), self.spec, self.spec.recipe, steps=count, forward=forward, on_progress=_silent
            )

        return self._seconds_of_a_step(work, steps)

    def at_once_seconds(self, seeds: int, precision: execution.Precision, steps: int) -> float:
        """Return what a step of so many seeds at once takes, all of them together."""
        networks = [self.network(seed) for seed in range(seeds)]

        def work(count: int) -> object:
            feeds = [self.feed(seed) for seed in range(seeds)]
            recipe = self.spec.recipe
            return train_at_once(
                networks, feeds, self.spec, recipe, steps=count, precision=precision, on_progress=_silent
            )

        return self._seconds_of_a_step(work, steps)

    def _seconds_of_a_step(self, work: Callable[[int], object], steps: int) -> float:
        work(WARM_STEPS)
        return statistics.median(self._timed(work, steps) for _ in range(ROUNDS))

    def _timed(self, work: Callable[[int], object], steps: int) -> float:
        begun = time.perf_counter()
        work(steps)
        if self.spec.device == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - begun) / steps


def _silent(progress: object) -> None:
    pass


def peak_of(name: str, precision: str) -> float | None:
    """Return the FLOP/s that a device promises, or None where it is not known here."""
    return next((1e12 * peaks[precision] for part, peaks in PEAK_TFLOPS.items() if part in name), None)


def line_of(case: Case, name: str, how: Execution, options: argparse.Namespace) -> str:
    network, batch = case.network(), next(case.feed())
    precision, _ = execution.fitting_precision(network, batch, case.spec)
    if case.spec.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    forward = execution.forward_of(network, precision, case.spec.device)
    seconds = case.step_seconds(network, forward, options.steps)
    held = f"{torch.cuda.max_memory_allocated() / 2**20:8.0f}" if case.spec.device == "cuda" else f"{'-':>8}"
    tokens = case.rows * case.spec.max_len
    flops, peak = flops_per_token(case.spec, case.mixer), peak_of(how.name, precision)
    used = f"{BACKWARD * flops * tokens / seconds / peak:7.2%}" if flops and peak else f"{'-':>7}"
    ratios = [_at_once(case, count, precision, options.steps, seconds) for count in options.at_once]
    compiled = [_compiled(case, precision, backend, options.steps) for backend in options.backends]
    words = " ".join([*ratios, *compiled])
    return f"{name:<26} {precision:<8} {tokens / seconds:>11,.0f} {1e3 * seconds:>8.2f} {held} {used}  {words}"


def _at_once(case: Case, count: int, precision: execution.Precision, steps: int, alone: float) -> str:
    try:
        return f"{case.at_once_seconds(count, precision, steps) / alone:>8.2f}"
    except Exception:  # noqa: BLE001 - torch refuses in as many ways as there are operations
        return f"{'alone':>8}"


def _compiled(case: Case, precision: execution.Precision, backend: str, steps: int) -> str:
    network, batch = case.network(), next(case.feed())
    forward, told = execution.compiled(network, batch, case.spec, precision, [backend])
    if "not_compiled" in told:
        return f" {backend}: {told['not_compiled'].strip().splitlines()[-1][:80]}"
    speed = case.rows * case.spec.max_len / case.step_seconds(network, forward, steps)
    torch.compiler.reset()
    return f" {backend}: {speed:,.0f} tokens/s after {told['compile_seconds']:.1f} s"


def trials_per_hour(task: str, how: Execution, workers: int, trials: int, names: Sequence[str]) -> tuple[int, float]:
    """Return how many trials of rung 0 ended well, and how many that is per hour of the wall clock."""
    seeds = max(1, trials // len(names))
    with tempfile.TemporaryDirectory(prefix="netwright-") as home:
        begun = time.perf_counter()
        _, rows = evaluate_baselines(
            Path(home),
            task,
            None,
            SandboxConfig(),
            chosen=list(names),
            seeds=seeds,
            rung=0,
            workers=workers,
            on_progress=lambda done, jobs, title: None,
            seeds_at_once="off",
            execution=how,
        )
        hours = (time.perf_counter() - begun) / 3600
    done = sum(trial.status is TrialStatus.DONE for row in rows for trial in row.trials)
    return done, done / hours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "tf32", "bf16"])
    parser.add_argument("--task", default="bytes")
    parser.add_argument("--baselines", nargs="+", default=list(CORE))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--at-once", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--backends", nargs="*", default=[])
    parser.add_argument("--workers", nargs="*", type=int, default=[1, 4], help="none: no trials through the sandbox")
    parser.add_argument("--trials", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    warnings.filterwarnings("ignore")
    how = choose(options.device, options.precision)
    execution.allow_tf32(how.precision == "tf32")
    print(f"{machine_name(how.name)}; {options.task}, {how.precision}")
    ratios = " ".join(f"{f'{count} seeds':>8}" for count in options.at_once)
    print(f"\n{'baseline':<26} {'in':<8} {'tokens/s':>11} {'ms/step':>8} {'MiB':>8} {'of peak':>7}  {ratios}")
    for name in options.baselines:
        print(line_of(Case(options.task, name, how), name, how, options), flush=True)
    if options.workers:
        print(f"\n{'slots':>5} {'trials':>6} {'per hour':>9}")
    for workers in options.workers:
        done, rate = trials_per_hour(options.task, how, workers, options.trials, options.baselines)
        print(f"{workers:>5} {done:>6} {rate:>9,.0f}", flush=True)


if __name__ == "__main__":
    main()
