"""The trusted door to measurement: gates and trials of candidates, through the sandbox.

    check:      static gates ─▶ one child: dynamic gates ─▶ portrait, its own claims
    calibrate:  one child each: what a token takes of the reference, and of the candidate
    trial:      one child: training ─weights▶ fresh children: logits A, logits B, ... ─▶ audit ─▶ loss
    trials:     one child: training of several seeds ─weights of each▶ as in `trial`     (only where that is asked for)
    measure:    one child: inference and state, its own claims

Whatever a candidate does comes back as a value: a failed gate, or a trial with a status and a reason and no loss.
What children say is validated, and believed only where it is to their own disadvantage or of no consequence.

Not covered: what a candidate does with its own training process. It can train more than the others, in `forward` or
by patching the loop; the time limit of a training bounds that, and where it depends on the clock the trial cannot be
repeated (see `repetition`). It can also learn from what its memory holds of the standard library: of the text of
`bytes` the bytecode of what is imported, and 1% to 2% as string constants. Give the task text of your own where that
matters.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from netwright.errors import DataError
from netwright.evaluator.calibration import CALIBRATE_ENTRY, Calibration, KnownShares, ShareStore
from netwright.evaluator.checkpoints import CHECKPOINT_SECONDS
from netwright.evaluator.contract import inspect_source, recipe_of
from netwright.evaluator.devices import ON_CPU, Execution
from netwright.evaluator.joined_jobs import AT_ONCE_MAX, TRAIN_SEEDS_ENTRY, Part, join, parts
from netwright.evaluator.limits import AUDIT, LIMITS, AuditStrength, LaboratoryLimits
from netwright.evaluator.measurement import COMPILE_ENTRY, MEASURE_ENTRY, measurement
from netwright.evaluator.protocol import tokens_for
from netwright.evaluator.replies import (
    DYNAMIC_GATES,
    PORTRAIT,
    CheckReply,
    Progress,
    parse_portrait,
    parse_progress,
    parse_reply,
    parse_report,
    shortened,
)
from netwright.evaluator.trial import (
    LAST_OUTPUT_CHARACTERS,
    SCORE_ENTRY,
    TRAIN_ENTRY,
    Bench,
    TrialEnded,
    TrialRun,
    dump,
    why,
)
from netwright.portrait import Portrait
from netwright.sandbox.isolation import Tier, starts_programs
from netwright.sandbox.job import ExitCause, Job, JobResult
from netwright.types import (
    Candidate,
    GateReport,
    JsonDict,
    Recipe,
    SeedsAtOnce,
    Share,
    Split,
    TaskSpec,
    Trial,
    TrialStatus,
)

if TYPE_CHECKING:
    from netwright.evaluator.checkpoints import Shelf
    from netwright.evaluator.tasks.base import Batch, Task
    from netwright.measures import Measures
    from netwright.sandbox.job import SharedInput
    from netwright.sandbox.runner import Sandbox

__all__ = ["LIMITS", "AuditStrength", "Examination", "Laboratory", "LaboratoryLimits", "Progress"]

_log = logging.getLogger(__name__)

_WORKER = "netwright.evaluator.worker"
_CHECK_ENTRY = f"{_WORKER}:check_candidate"


class Examination(NamedTuple):
    """What a check found: the gates' reports, and a portrait that is empty unless the candidate passed."""

    reports: tuple[GateReport, ...]
    portrait: Portrait = Portrait()


class Laboratory:
    """Checks, tries and measures candidates on one task.

    All calls block, are thread-safe, and never raise for a fault of the candidate; SandboxError means that the
    laboratory itself failed.
    """

    ENTRIES = (_CHECK_ENTRY, CALIBRATE_ENTRY, TRAIN_ENTRY, TRAIN_SEEDS_ENTRY, SCORE_ENTRY, MEASURE_ENTRY, COMPILE_ENTRY)
    WARM_ZYGOTE = f"{_WORKER}:warm_zygote"
    WARM_CHILD = f"{_WORKER}:warm_child"
    WARM_CUDA_CHILD = f"{_WORKER}:warm_cuda_child"

    def __init__(
        self,
        sandbox: Sandbox,
        task: Task,
        key: bytes,
        *,
        execution: Execution = ON_CPU,
        limits: LaboratoryLimits = LIMITS,
        audit: AuditStrength = AUDIT,
        seeds_at_once: SeedsAtOnce = "auto",
        shares: ShareStore | None = None,
        shelf: Shelf | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        """`execution` is the one that the task was loaded for.

        `seeds_at_once` is for `trials`: auto means on, but not on a CPU, where only seeds alone repeat exactly.
        `shares` remembers what candidates train on where budgets are not equal in tokens; default: while this lives.
        On the `shelf` a long training is kept every `checkpoint_seconds`, until the trial is over: one that was
        interrupted goes on there.
        """
        self.task, self.execution, self.audit = task, execution, audit
        self.limits = limits = limits.with_driver() if task.spec.device == "cuda" else limits
        self.spec = task.spec
        self._shelf, self._checkpoint_seconds = shelf, checkpoint_seconds
        self._at_once = seeds_at_once == "on" or (seeds_at_once == "auto" and task.spec.device != "cpu")
        self._sandbox, self._key = sandbox, key
        self._lock = threading.Lock()
        self._held_out: dict[Split, Batch] = {}
        self._data: SharedInput | None = None
        self._scoring: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._calibration = None
        if self.spec.protocol != "tokens":
            self._calibration = Calibration(
                self.spec, limits, str(sandbox.tier), self._training_input, shares or KnownShares()
            )

    @property
    def tier(self) -> Tier:
        """How confined candidates are here."""
        return self._sandbox.tier

    def trains_at_once(self, candidate: Candidate, split: Split = Split.VALIDATION, repeat: int = 0) -> bool:
        """Whether seeds of the candidate are trained at once, if it allows that.

        Never for a repetition, and on the locked split for baselines alone: in one process, hostile code could train
        one seed on what was paid for all. Nor where budgets are not in tokens: what one takes is known of seeds alone.
        """
        if repeat or self._calibration is not None:
            return False
        return self._at_once and (split is Split.VALIDATION or candidate.origin == "baseline")

    def check(self, candidate: Candidate, *, cancel: threading.Event | None = None) -> tuple[GateReport, ...]:
        """Return the reports of all gates that were reached; the candidate is rejected if any of them rejects.

        After `cancel` was set the reports mean nothing: the check was cut short.
        """
        return self.examine(candidate, cancel=cancel).reports

    def examine(self, candidate: Candidate, *, cancel: threading.Event | None = None) -> Examination:
        """Check the candidate, and portray it if it passes: the same process shows what it computes."""
        static = inspect_source(candidate.source, self.spec.scope)
        if any(report.rejects for report in static):
            return Examination(static)
        running, finished = "", list[GateReport]()

        def listen(event: JsonDict) -> None:
            nonlocal running
            running = str(event.get("gate", running))
            report = parse_report(event)
            if report is not None:
                finished.append(report)

        recipe = recipe_of(candidate.source, self.spec.recipe)
        payload = {"source": candidate.source, "spec": dump(self.spec), "recipe": dump(recipe)}
        job = Job(entry=_CHECK_ENTRY, payload=payload, limits=self.limits.check())
        result = self._sandbox.run(job, on_event=listen, cancel=cancel)
        _log.info("candidate checked id=%s cause=%s", candidate.id[:12], result.cause)
        reply = parse_reply(result.reply, CheckReply) if result.cause is ExitCause.OK else None
        if reply is None and running == PORTRAIT and len(finished) == len(DYNAMIC_GATES):
            return Examination((*static, *finished))  # it has passed, whatever went wrong afterwards
        if reply is None:
            return Examination((*static, *finished[: len(DYNAMIC_GATES)], _broken_gate(running, result)))
        reports = (*static, *map(shortened, reply.gates), *_missing_gates(reply.gates))
        return Examination(reports, _with_recipe(parse_portrait(reply.portrait), recipe))

    def trial(
        self,
        candidate: Candidate,
        *,
        rung: int,
        seed: int,
        split: Split = Split.VALIDATION,
        on_progress: Callable[[Progress], None] | None = None,
        repeat: int = 0,
        rate: float = 1.0,
        cancel: threading.Event | None = None,
        store_weights: Callable[[bytes], str] | None = None,
        known: Sequence[Trial] = (),
        part: Part | None = None,
    ) -> Trial:
        """Train the candidate at `rung` with `seed` and score it on `split`.

        With `repeat` n it is the n-th repetition of that trial: the same training, asked the same, audited afresh.
        `rate` is a factor on the recipe's learning rate; one that no recipe may have ends the trial before it begins.

        `on_progress` is called from this thread. `store_weights` gets the weight file of a trial that is done and
        returns the name under which the trial remembers it. `known` are finished trials of others: a training that is
        hopeless beside those of this task and rung (see `early_stop`) is ended before it has cost all that it may.
        `part` is what `trials` came to for this seed, where it tried to train several at once.
        """
        run = self._run(candidate, rung, seed, split, repeat, rate, cancel)
        run.part = part or run.part
        run.known = [trial for trial in known if (trial.task_id, trial.rung) == (self.spec.id, rung)]
        try:
            self._train(run, on_progress)
            with self._alone(candidate):
                run.score()
            if store_weights is not None:
                run.facts["weights"] = store_weights(run.weights)
        except TrialEnded as ended:
            run.facts |= {"status": ended.status, "reason": ended.reason, "last_output": ended.last_output}
        trial = run.trial()
        if run.checkpoints is not None and trial.status is not TrialStatus.INTERRUPTED:
            run.checkpoints.drop()
        _log.info(
            "trial finished candidate=%s rung=%d seed=%d status=%s wall_seconds=%.2f",
            candidate.id[:12],
            rung,
            seed,
            trial.status,
            trial.usage.wall_seconds,
        )
        return trial

    def trials(
        self,
        candidate: Candidate,
        *,
        rung: int,
        seeds: Sequence[int],
        split: Split = Split.VALIDATION,
        on_progress: Callable[[Progress], None] | None = None,
        repeat: int = 0,
        rate: float = 1.0,
        cancel: threading.Event | None = None,
        store_weights: Callable[[bytes], str] | None = None,
    ) -> Iterator[Trial]:
        """Yield the trial of each seed as it ends: trained at once where that is on and the candidate allows it.

        What is tried that way and does not succeed is trained alone, and the trial's telemetry says why. The rest is
        as for `trial`.
        """
        size = AT_ONCE_MAX if self.trains_at_once(candidate, split, repeat) else 1
        for first in range(0, len(seeds), size):
            group = seeds[first : first + size]
            trained: Mapping[int, Part] = {}
            if len(group) > 1:
                runs = [self._run(candidate, rung, seed, split, repeat, rate, cancel) for seed in group]
                trained = _trained_at_once(runs, on_progress)
            for seed in group:
                yield self.trial(
                    candidate,
                    rung=rung,
                    seed=seed,
                    split=split,
                    on_progress=on_progress,
                    repeat=repeat,
                    rate=rate,
                    cancel=cancel,
                    store_weights=store_weights,
                    part=trained.get(seed),
                )

    def _run(
        self,
        candidate: Candidate,
        rung: int,
        seed: int,
        split: Split,
        repeat: int,
        rate: float,
        cancel: threading.Event | None,
    ) -> TrialRun:
        bench = Bench(
            spec=self.spec,
            execution=self.execution,
            compilers=starts_programs(self.tier),
            limits=self.limits,
            audit=self.audit,
            run=lambda job, listen: self._sandbox.run(job, on_event=listen, cancel=cancel),
            data=self._training_input(),
            rows=self.held_out(split),
            asked=self._generator(f"asked/{candidate.id}/{seed}/{rung}"),
            twins=self._generator(f"twins/{candidate.id}/{seed}/{rung}/{split}/{repeat}/{rate:g}"),
            shelf=self._shelf,
            checkpoint_seconds=self._checkpoint_seconds,
        )
        tokens = self.spec.rungs[rung].tokens
        return TrialRun(
            bench,
            candidate,
            rung=rung,
            tokens=tokens,
            seed=seed,
            split=split,
            repeat=repeat,
            rate=rate,
            cancel=cancel,
        )

    def measure(self, candidate: Candidate, *, cancel: threading.Event | None = None) -> Measures:
        """Measure inference and state of the candidate, with fresh weights and by its own account: advisory.

        What could not be measured is among the problems. After `cancel` was set the measures mean nothing.
        """
        found = measurement(
            candidate,
            self.spec,
            self.execution,
            self.limits,
            lambda job: self._sandbox.run(job, cancel=cancel),
            compilers=starts_programs(self.tier),
        )
        _log.info("candidate measured id=%s wall_seconds=%.2f", candidate.id[:12], found.wall_seconds)
        return found

    def shares(self, candidate: Candidate, *, cancel: threading.Event | None = None) -> tuple[Share, ...]:
        """Return what the candidate trains on, measured now where it is not known; nothing where budgets are tokens.

        Raises: TrialEnded where it cannot be measured.
        """
        if self._calibration is None:
            return ()
        return (self._calibration.share(candidate, lambda job, purpose: self._sandbox.run(job, cancel=cancel)),)

    def _train(self, run: TrialRun, on_progress: Callable[[Progress], None] | None) -> None:
        """Train on what the rung buys, and see that it took no longer than it may."""
        if self._calibration is None:
            run.train(on_progress)
            return

        def calibrate(job: Job, purpose: str) -> JobResult:
            result = run.bench.run(job, None)
            run.calibrations.append((purpose, result))
            return result

        share = self._calibration.share(run.candidate, calibrate)
        run.tokens = tokens_for(self.spec, run.rung, share.factor)
        training = run.train(on_progress)
        self._calibration.hold_against(share, training, run.rung, calibrate)

    def held_out(self, split: Split) -> Batch:
        """Return the rows of the split, made once."""
        with self._lock:
            if split not in self._held_out:
                self._held_out[split] = _as_asked(self.task.held_out(split, self._key), self.spec)
            return self._held_out[split]

    def _training_input(self) -> dict[str, SharedInput]:
        """Return the training data as a job's input, put into shared memory once."""
        with self._lock:
            if self._data is None:
                data = self.task.training_data()
                if not data:
                    return {}
                self._data = self._sandbox.share(data)
            return {"data": self._data}

    def _generator(self, label: str) -> np.random.Generator:
        """Return randomness of the audit; without the key nobody can foresee where a row will be cut."""
        digest = hashlib.sha256(self._key + label.encode()).digest()
        return np.random.default_rng(int.from_bytes(digest, "big"))

    def _alone(self, candidate: Candidate) -> threading.Lock:
        """Return what keeps two trials of one candidate from being scored at once: they could tell each other."""
        with self._lock:
            return self._scoring[candidate.id]


def _trained_at_once(runs: Sequence[TrialRun], on_progress: Callable[[Progress], None] | None) -> Mapping[int, Part]:
    """Train runs that differ in nothing but the seed in one process; return the part of each seed.

    Nothing where the recipe is none: the trial of each seed tells.
    """

    def listen(event: JsonDict) -> str:
        progress = parse_progress(event)
        if progress is not None and on_progress is not None:
            on_progress(progress)
        return ""

    try:
        job = join([run.training_job() for run in runs])
    except TrialEnded:
        return {}
    return parts(runs[0].bench.run(job, listen), [run.seed for run in runs])


def _as_asked(rows: Batch, spec: TaskSpec) -> Batch:
    """Return held-out rows in the types in which they travel, whatever a task of the user's own has made them in.

    Raises DataError where their shapes are not those of the spec.
    """
    row = (spec.max_len,) if spec.inputs == "tokens" else spec.input_shape
    if rows.inputs.shape[1:] != row or rows.targets.shape != (len(rows), spec.answer_shape[0]):
        raise DataError(
            f"task {spec.name!r} holds out inputs {rows.inputs.shape} and targets {rows.targets.shape}: expected rows "
            f"of {row}, and {spec.answer_shape[0]} targets each"
        )
    inputs = np.int32 if spec.inputs == "tokens" else np.float32
    targets = np.float32 if spec.answers == "number" else np.int32
    return replace(
        rows, inputs=rows.inputs.astype(inputs, copy=False), targets=rows.targets.astype(targets, copy=False)
    )


def _with_recipe(portrait: Portrait, recipe: Recipe) -> Portrait:
    """Return the portrait with a fingerprint of what is trained and how: another recipe may train it to another end."""
    if portrait.function is None:
        return portrait
    text = f"{portrait.function} {recipe.model_dump_json()}"
    return portrait.model_copy(update={"function": hashlib.sha256(text.encode()).hexdigest()})


def _broken_gate(running: str, result: JobResult) -> GateReport:
    gate = running if running in DYNAMIC_GATES else DYNAMIC_GATES[0]
    reason = why(result) or "the process answered with something that is no reply"
    evidence = {"cause": str(result.cause), "last_output": result.last_output[-LAST_OUTPUT_CHARACTERS:]}
    return GateReport(gate=gate, passed=False, message=reason, evidence=evidence, seconds=result.wall_seconds)


def _missing_gates(reports: tuple[GateReport, ...]) -> tuple[GateReport, ...]:
    """Return a failure for the first gate that a reply without any rejection leaves out."""
    if any(report.rejects for report in reports):
        return ()
    told = {report.gate for report in reports}
    missing = [gate for gate in DYNAMIC_GATES if gate not in told][:1]
    message = "the candidate's process did not report on this gate"
    return tuple(GateReport(gate=gate, passed=False, message=message) for gate in missing)
