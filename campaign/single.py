"""One candidate file at a time, outside any campaign: check it, evaluate it, hold it against the baselines."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import MappingProxyType

from netwright.campaign.laboratories import open_laboratory
from netwright.campaign.opening import confinement, open_sandbox
from netwright.config import SandboxConfig
from netwright.errors import ConfigError
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.contract import title_and_hypothesis
from netwright.evaluator.devices import ON_CPU, Execution
from netwright.evaluator.statistics import NoiseFloor, noise_floor, score_of
from netwright.evaluator.suite import AnyLaboratory, laboratory_for
from netwright.evaluator.tasks import AnyTask, load_task
from netwright.evaluator.trial import TrialEnded
from netwright.memory.store import Memory
from netwright.sandbox.isolation import Tier
from netwright.types import Candidate, GateReport, Scope, Score, SeedsAtOnce, Share, Split, TaskSpec, Trial, TrialStatus

Progress = Callable[[int, int, str], None]
"""Called with (finished, all, what is trained now)."""


@dataclass(frozen=True)
class Row:
    """An architecture with its trials at one rung, and the score that they give.

    `share` says why it trained on other tokens than the rung has, where budgets are not equal in tokens.
    """

    candidate: Candidate
    trials: tuple[Trial, ...]
    score: Score | None
    share: Share | None = None


@dataclass(frozen=True)
class Check:
    """What the gates said of a candidate at `tier`; `seconds` run from the request to the last report.

    `shares` are what it would train on where budgets are not equal in tokens, `problem` why that is not known.
    """

    task: TaskSpec
    candidate: Candidate
    gates: tuple[GateReport, ...]
    tier: str
    layers: str
    seconds: float
    shares: tuple[Share, ...] = ()
    problem: str = ""

    @property
    def rejected(self) -> bool:
        return any(report.rejects for report in self.gates)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: gates, trials, and the baselines that are known at that rung."""

    task: TaskSpec
    row: Row
    gates: tuple[GateReport, ...]
    baselines: tuple[Row, ...]

    @property
    def rejected(self) -> bool:
        return any(report.rejects for report in self.gates)

    @property
    def scored(self) -> bool:
        return self.row.score is not None


def read_candidate(path: Path, scope: Scope) -> Candidate:
    """The candidate in a file, as the user wrote it.

    Raises: ConfigError when there is no such file, or it is not text.
    """
    try:
        source = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"candidate file {path} does not exist; check the path") from None
    except UnicodeDecodeError:
        raise ConfigError(f"candidate file {path} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"candidate file {path} cannot be read: {error.strerror}") from None
    title, hypothesis = title_and_hypothesis(source)
    return Candidate(source=source, scope=scope, title=title or path.stem, hypothesis=hypothesis, origin="file")


def check_file(
    path: Path,
    task_name: str,
    data: Path | None,
    sandbox_config: SandboxConfig,
    *,
    protocol: str = "tokens",
    execution: Execution = ON_CPU,
) -> Check:
    """All gates of the candidate in `path`, and, where budgets are not equal in tokens, what it would train on.

    Nothing is remembered, and no memory is needed.
    """
    begun = time.monotonic()
    read_candidate(path, Scope.MIXER)  # a wrong path is told at once
    with open_sandbox(sandbox_config, slots=1, one_job=True, execution=execution) as sandbox:
        # The zygote imports meanwhile.
        task = load_task(task_name, data=data, protocol=protocol, execution=execution)
        candidate = read_candidate(path, task.spec.scope)
        lab = laboratory_for(sandbox, task, b"", limits=sandbox_config.limits, execution=execution)
        tier, layers = confinement(sandbox_config, sandbox.isolation)
        gates = lab.check(candidate)
        shares: tuple[Share, ...] = ()
        problem = ""
        if not any(report.rejects for report in gates):
            try:
                shares = lab.shares(candidate)
            except TrialEnded as ended:
                problem = f"{ended.status.value}: {ended.reason}"
        return Check(task.spec, candidate, gates, tier.value, layers, time.monotonic() - begun, shares, problem)


def evaluate_file(
    home: Path,
    path: Path,
    task_name: str,
    data: Path | None,
    sandbox_config: SandboxConfig,
    *,
    protocol: str = "tokens",
    seeds: int,
    rung: int,
    workers: int,
    on_progress: Progress,
    seeds_at_once: SeedsAtOnce = "auto",
    execution: Execution = ON_CPU,
) -> Evaluation:
    """Check, train and score the candidate in `path`; trials that the memory has are not run again.

    Raises: NetwrightError; KeyboardInterrupt with everything finished remembered.
    """
    task = load_task(task_name, data=data, protocol=protocol, execution=execution)
    check_rung(task, rung)
    candidate = read_candidate(path, task.spec.scope)
    with _opened(home, task, sandbox_config, workers, seeds_at_once, execution) as (memory, lab):
        memory.put_candidate(candidate)
        gates = gates_of(memory, lab, candidate)
        trials: list[Trial] = []
        if not any(report.rejects for report in gates):
            trials = train_all(
                memory,
                lab,
                [candidate],
                seeds=range(seeds),
                rung=rung,
                workers=workers,
                on_progress=on_progress,
            )
        return Evaluation(
            task=task.spec,
            row=Row(
                candidate,
                tuple(trials),
                score_of(trials, _noise(memory, task.spec, rung, lab.tier)),
                memory.share(candidate.id, task.spec.id),
            ),
            gates=gates,
            baselines=known_baselines(memory, task.spec, rung, lab.tier),
        )


def evaluate_baselines(
    home: Path,
    task_name: str,
    data: Path | None,
    sandbox_config: SandboxConfig,
    *,
    protocol: str = "tokens",
    chosen: str | Sequence[str] = "all",
    seeds: int,
    rung: int,
    workers: int,
    on_progress: Progress,
    seeds_at_once: SeedsAtOnce = "auto",
    execution: Execution = ON_CPU,
) -> tuple[TaskSpec, tuple[Row, ...]]:
    """Train the `chosen` baselines at `rung` with seeds 0 .. `seeds`-1, as far as the memory lacks it.

    Returns the task, and all that the memory then has at that rung, best first.
    """
    task = load_task(task_name, data=data, protocol=protocol, execution=execution)
    check_rung(task, rung)
    candidates = baselines_for(task.spec, chosen)
    with _opened(home, task, sandbox_config, workers, seeds_at_once, execution) as (memory, lab):
        train_all(memory, lab, candidates, seeds=range(seeds), rung=rung, workers=workers, on_progress=on_progress)
        return task.spec, known_baselines(memory, task.spec, rung, lab.tier)


@contextmanager
def _opened(
    home: Path,
    task: AnyTask,
    sandbox_config: SandboxConfig,
    workers: int,
    seeds_at_once: SeedsAtOnce,
    execution: Execution,
) -> Iterator[tuple[Memory, AnyLaboratory]]:
    """The memory, which then knows the task, and a laboratory for it with so many slots."""
    with (
        Memory.open(home) as memory,
        open_sandbox(sandbox_config, slots=workers, execution=execution) as sandbox,
    ):
        lab = open_laboratory(
            sandbox,
            task,
            memory,
            limits=sandbox_config.limits,
            seeds_at_once=seeds_at_once,
            execution=execution,
        )
        memory.put_task(task.spec)
        yield memory, lab


def gates_of(memory: Memory, lab: AnyLaboratory, candidate: Candidate) -> tuple[GateReport, ...]:
    """The gate reports: the known ones where they accepted; a rejection may have been the doing of a limit."""
    task_id, tier = lab.task.spec.id, lab.tier
    known = memory.gates(candidate.id, task_id, tier=tier)
    if known and not any(report.rejects for report in known):
        return known
    reports = lab.check(candidate)
    memory.put_gates(candidate.id, task_id, reports, tier)
    return reports


def check_rung(task: AnyTask, rung: int) -> None:
    """Raises: ConfigError when the task has no such rung."""
    levels = [level.level for level in task.spec.rungs]
    if rung not in levels:
        raise ConfigError(f"task {task.spec.name!r} has no rung {rung}; it has {', '.join(map(str, levels))}")


def known_baselines(memory: Memory, spec: TaskSpec, rung: int, tier: str) -> tuple[Row, ...]:
    """The baselines that the memory has trials of at `rung` that count at `tier`, best first."""
    noise = _noise(memory, spec, rung, tier)
    rows = []
    for candidate in baselines_for(spec, "all"):
        trials = memory.trials(spec.id, candidate.id, Split.VALIDATION, rung, tier=tier)
        if trials:
            rows.append(Row(candidate, tuple(trials), score_of(trials, noise), memory.share(candidate.id, spec.id)))
    return tuple(sorted(rows, key=lambda row: -row.score.value if row.score else float("inf")))


def _noise(memory: Memory, spec: TaskSpec, rung: int, tier: str) -> NoiseFloor | None:
    baselines = {candidate.id for candidate in baselines_for(spec, "all")}
    known = memory.trials(spec.id, split=Split.VALIDATION, rung=rung, tier=tier)
    return noise_floor(trial for trial in known if trial.candidate_id in baselines)


def mean_metrics(trials: Sequence[Trial]) -> dict[str, float]:
    """The mean of every metric over the trials that are done and have it."""
    done = [trial for trial in trials if trial.status is TrialStatus.DONE]
    names = sorted({name for trial in done for name in trial.metrics})
    values = {name: [trial.metrics[name] for trial in done if name in trial.metrics] for name in names}
    return {name: sum(known) / len(known) for name, known in values.items()}


def not_isolated(trials: Sequence[Trial]) -> bool:
    """Whether any of them ran with resource limits only: its code could reach whatever measured it."""
    return any(trial.usage.tier == Tier.T0 for trial in trials)


def train_all(
    memory: Memory,
    lab: AnyLaboratory,
    candidates: Sequence[Candidate],
    *,
    seeds: Sequence[int],
    rung: int,
    workers: int,
    on_progress: Progress,
    rates: Mapping[str, Sequence[float]] = MappingProxyType({}),
    split: Split = Split.VALIDATION,
    repeat: int = 0,
    campaign_id: int | None = None,
) -> list[Trial]:
    """Every candidate with every seed, as far as the memory lacks it; each trial is remembered when it ends.

    What ended at a limit is tried again, and so is what was not isolated where it would be now. `rates` are factors
    on the learning rate by candidate (default: 1 alone); each is a trial of its own. With `repeat` n they are the n-th
    repetitions of those trials. Seeds are the outer loop, so that an interrupted run leaves comparable results, unless
    seeds of a candidate are trained at once. Returns the trials, those of a candidate in the order of their seeds.

    Raises: KeyboardInterrupt after the running trials were killed.
    """
    task_id, tier = lab.task.spec.id, lab.tier
    wanted = [(each, rate) for each in candidates for rate in rates.get(each.id, (1.0,))]
    together = [job for job in wanted if lab.trains_at_once(job[0], split, repeat)]
    apart = [job for job in wanted if job not in together]
    jobs = [(group, *job) for group in _groups(seeds, len(wanted), workers) for job in together]
    jobs += [((seed,), *job) for seed in seeds for job in apart]
    count = len(seeds) * len(wanted)
    # A campaign's failures stay while a learning rate is chosen: else the choice, and what the locked split is opened
    # for, could change from one confirmation to the next.
    owner = campaign_id if split is Split.VALIDATION else None
    kept = split is Split.TEST or (rung > 0 and not rates)
    stop = Event()
    finished = itertools.count(1)

    def tell(number: int, group: Sequence[int], candidate: Candidate, rate: float) -> None:
        what = f"{candidate.title}, seed {', '.join(map(str, group))}" + f", lr x {rate:g}" * (rate != 1.0)
        on_progress(number, count, what + ", once more" * (repeat > 0))

    def known(seed: int, candidate: Candidate, rate: float) -> Trial | None:
        key = (candidate.id, task_id, rung, seed, split)
        return memory.trial(*key, repeat=repeat, rate=rate, tier=tier, campaign_id=owner)

    def run(group: Sequence[int], candidate: Candidate, rate: float) -> list[Trial]:
        found = {seed: trial for seed in group if (trial := known(seed, candidate, rate))}
        missing = [seed for seed in group if seed not in found]
        for seed in found:
            tell(next(finished), (seed,), candidate, rate)
        if missing:
            tell(-1, missing, candidate, rate)
        for trial in lab.trials(
            candidate,
            rung=rung,
            seeds=missing,
            split=split,
            repeat=repeat,
            rate=rate,
            cancel=stop,
            store_weights=memory.artifacts.put_weights if kept else None,
        ):
            if trial.status is not TrialStatus.INTERRUPTED:
                memory.put_trial(campaign_id, trial)
            found[trial.seed] = trial
            tell(next(finished), (trial.seed,), candidate, rate)
        return [found[seed] for seed in group]

    for candidate in candidates:
        memory.put_candidate(candidate)
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="slot") as threads:
        futures = [threads.submit(run, *job) for job in jobs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if any(not future.done() for future in futures):
                stop.set()
                threads.shutdown(wait=True, cancel_futures=True)
    return [trial for future in futures for trial in future.result()]


def _groups(seeds: Sequence[int], jobs: int, workers: int) -> list[Sequence[int]]:
    """The seeds in as few groups as leave no slot empty while so many jobs are done with each."""
    size = max(1, math.ceil(len(seeds) / math.ceil(workers / max(1, jobs))))
    return [seeds[first : first + size] for first in range(0, len(seeds), size)]
