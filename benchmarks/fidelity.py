"""Does a short training rank architectures as one ten times longer does, and on which tasks is that cheapest?

    python benchmarks/fidelity.py --tasks bytes recall s3 [--seeds 2] [--designs 12] [--workers 2] [--minutes 60]
        [--scale 1.0] [--csv benchmarks/results/fidelity.csv] [--report-only]

Trains all mixer baselines and the designs in `drafts/` (which the grammar planner drafted, once, so that they stay the
same whatever becomes of the grammar) at each task's rung 0 and at ten times its tokens, with the ordinary training loop
and no sandbox, one thread per process. Every training is a line of the CSV as soon as it ends; what stands there is not
trained again, so the same command goes on after an interruption. The two rungs use different seeds, so that no luck of
a start value is common to both.

A task ranks by the mean loss over seeds. A mixture ranks by the mean over its tasks, equally weighted, of the score
tanh((reference - loss) / spread): `reference` is softmax attention's loss and `spread` the standard deviation between
the baselines, both of that task and rung. A training that diverges or raises puts its architecture last on that task
and has the score -1. Intervals are 95%, from resampling architectures. Cost is CPU seconds of training, of all seeds
together.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from itertools import product
from pathlib import Path

import torch
from fidelity_report import FIRST_LONG_SEED, LONG, SHORT, Architecture, Figures, Ledger, Run, line_of, report

from netwright.errors import ConfigError, NetwrightError
from netwright.evaluator.budget import batch_rows, step_count
from netwright.evaluator.contract import recipe_of
from netwright.evaluator.fingerprint import fingerprint
from netwright.evaluator.loading import load_factory, seeded_network
from netwright.evaluator.seeding import seed_all
from netwright.evaluator.tasks import Task, load_task, training_batches
from netwright.evaluator.training import batch_loss, train
from netwright.evaluator.worker import warm_child
from netwright.printable import printable
from netwright.types import Scope, Split, TaskSpec

KEY = b"benchmark key, not a secret one."
LONGER = 10
DRAFTS = Path(__file__).with_name("drafts")
RESULTS = Path(__file__).with_name("results") / "fidelity.csv"


@dataclass(frozen=True)
class Job:
    """One training; `task` is the name to load it by, `rung_tokens` the budgets of both rungs.

    `recipe` are settings other than the task's.
    """

    task: str
    task_id: str
    rung_tokens: tuple[int, int]
    architecture: Architecture
    rung: int
    seed: int
    recipe: tuple[tuple[str, float], ...] = ()

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self.task_id, self.architecture.name, self.rung, self.seed


def baselines() -> Iterator[Architecture]:
    """Yield the mixers among the files of the baselines, registered or not."""
    files = resources.files("netwright.evaluator.baselines").iterdir()
    for file in sorted((each for each in files if each.name.endswith(".py")), key=lambda each: each.name):
        source = file.read_text(encoding="utf-8")
        if "\nclass Mixer" in source:
            yield _architecture(file.name.removesuffix(".py"), "baseline", source)


def designs(number: int) -> Iterator[Architecture]:
    """Yield the first so many of the designs in `drafts/`, at most all of them."""
    for file in sorted(DRAFTS.glob("*.py"))[:number]:
        yield _architecture(file.stem, "grammar", file.read_text(encoding="utf-8"))


def _architecture(name: str, origin: str, source: str) -> Architecture:
    return Architecture(f"{name}-{fingerprint(source)[:8]}", origin, source)


@lru_cache(maxsize=2)
def loaded(name: str, rung_tokens: tuple[int, int]) -> Task:
    """Load a task; jobs come task by task, and a deck of rows is large."""
    return load_task(name, rung_tokens=rung_tokens)


def carry_out(job: Job) -> Run:
    """Train and score one architecture; whatever it raises is a failed run."""
    task, begun = loaded(job.task, job.rung_tokens), time.process_time()
    loss = math.inf
    try:
        loss, seconds = _trained(task, job)
        failure = "" if math.isfinite(loss) else "diverged"
    except Exception as error:  # noqa: BLE001 - an architecture that cannot be trained is a result
        seconds = time.process_time() - begun
        failure = printable(" ".join(f"{type(error).__name__}: {error}".split()))[:200]
    return Run(
        task=task.spec.id,
        architecture=job.architecture.name,
        origin=job.architecture.origin,
        rung=job.rung,
        seed=job.seed,
        loss_nats=round(loss, 5) if math.isfinite(loss) else math.inf,
        core_seconds=round(seconds, 2),
        failure=failure,
    )


def _trained(task: Task, job: Job) -> tuple[float, float]:
    """Return the validation loss, inf where the training diverged, and the CPU seconds of the training."""
    spec, source = task.spec, job.architecture.source
    recipe = recipe_of(source, spec.recipe.model_copy(update=dict(job.recipe)))
    network = seeded_network(spec, load_factory(source, spec), seed=job.seed, dropout=recipe.dropout)
    tokens = spec.rungs[job.rung].tokens
    rows, steps = batch_rows(spec, recipe, tokens=tokens), step_count(spec, recipe, tokens=tokens)
    batches = training_batches(spec, task.training_data(), seed=job.seed, batch_size=rows)
    seed_all(job.seed)
    begun = time.process_time()
    outcome = train(network, batches, spec, recipe, steps=steps, on_progress=lambda progress: None)
    seconds = time.process_time() - begun
    if outcome.diverged_at is not None:
        return math.inf, seconds
    with torch.no_grad():
        loss = float(batch_loss(network.eval(), task.held_out(Split.VALIDATION, KEY), spec))
    return loss, seconds


def settle() -> None:
    """Prepare a worker: one thread, kernels warm, an interrupt is the parent's affair, and it ends with its parent."""
    torch.set_flush_denormal(True)
    warm_child()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # workers alone are settled
    parent.join()
    os._exit(1)


def work_off(jobs: Sequence[Job], ledger: Ledger, *, workers: int, deadline: float) -> str:
    """Carry the jobs out, starting none after the deadline; return why some are left, or ""."""
    waiting, running = iter(jobs), set[Future[Run]]()
    progress = Progress(jobs)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=settle) as pool:
        try:
            while True:
                while len(running) < workers and time.monotonic() < deadline and (job := next(waiting, None)):
                    running.add(pool.submit(carry_out, job))
                if not running:
                    break
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    ledger.append(future.result())
                    progress.tell(ledger.runs[-1])
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            return "interrupted"
        except BrokenProcessPool:
            return "a worker was killed (out of memory?)"
    return "time is up" if next(waiting, None) else ""


class Progress:
    """Prints every run, and how long the rest will take if it goes on like this."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs, self._done, self._tokens_done = len(jobs), 0, 0
        self._tokens = sum(job.rung_tokens[job.rung] for job in jobs)
        self._rung_tokens = {(job.task_id, job.rung): job.rung_tokens[job.rung] for job in jobs}
        self._begun = time.monotonic()

    def tell(self, run: Run) -> None:
        self._done += 1
        self._tokens_done += self._rung_tokens[run.task, run.rung]
        left = (time.monotonic() - self._begun) * (self._tokens / self._tokens_done - 1) / 60
        print(f"{self._done}/{self._jobs} {line_of(run)}; {left:.0f} min left", flush=True)


def plan(tasks: Sequence[tuple[str, TaskSpec]], architectures: Sequence[Architecture], seeds: int) -> Iterator[Job]:
    """Yield all jobs: seed by seed, so that every task is there once before any is repeated."""
    for seed, (name, spec), rung, each in product(range(seeds), tasks, (SHORT, LONG), architectures):
        tokens = (spec.rungs[SHORT].tokens, spec.rungs[LONG].tokens)
        yield Job(name, spec.id, tokens, each, rung, seed + FIRST_LONG_SEED * rung)


def laddered(name: str, scale: float) -> TaskSpec:
    """Return the task's description with the two budgets.

    Raises:
        ConfigError: there is no such task, or its candidates are no mixers.
        DataError: its data cannot be used.
    """
    spec = load_task(name).spec
    if spec.scope is not Scope.MIXER:
        raise ConfigError(f"task {name!r} wants a whole {spec.scope.value}, and only mixers are compared here")
    tokens = max(spec.recipe.batch_size * spec.max_len, round(scale * spec.rungs[0].tokens))
    return load_task(name, rung_tokens=(tokens, LONGER * tokens)).spec


def parsed_options() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["recall", "bytes"])
    parser.add_argument("--seeds", type=int, default=2, help="of each rung")
    parser.add_argument("--designs", type=int, default=12, help="drafts of the grammar, at most 12")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of one thread each")
    parser.add_argument("--minutes", type=float, default=math.inf, help="start no training after so long, then report")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies both budgets")
    parser.add_argument("--csv", type=Path, default=RESULTS)
    parser.add_argument("--report-only", action="store_true")
    return parser, parser.parse_args()


def main() -> None:
    parser, options = parsed_options()
    deadline = time.monotonic() + 60 * options.minutes
    try:
        tasks = [(name, laddered(name, options.scale)) for name in dict.fromkeys(options.tasks)]
    except NetwrightError as error:
        parser.error(str(error))
    architectures = [*baselines(), *designs(options.designs)]
    ledger = Ledger(options.csv)
    if strangers := ledger.strangers([spec.id for _, spec in tasks], architectures):
        print(f"{strangers} lines of {options.csv} are of other tasks, budgets or code: they are left alone")
    done = {(run.task, run.architecture, run.rung, run.seed) for run in ledger.runs}
    jobs = [job for job in plan(tasks, architectures, options.seeds) if job.key not in done]
    if jobs and not options.report_only:
        print(f"{len(architectures)} architectures, {len(jobs)} trainings to do, {len(done)} in {options.csv}")
        ledger.mend()
        stopped = work_off(jobs, ledger, workers=options.workers, deadline=deadline)
        if stopped:
            print(f"{stopped}: the same command goes on from here")
    report(Figures(ledger.runs, [spec.id for _, spec in tasks], architectures), [name for name, _ in tasks])


if __name__ == "__main__":
    main()
