"""Trials of a suite: one training per task, each in the laboratory of that task, and one number from all of them.

    candidate ─▶ task 1: trial ─▶ task 2: trial ─▶ ... ─▶ suite loss        ends at the first task that fails

Trials of single tasks go through `KnownTrials`, so that each is run once whatever asks for it: another suite, a
campaign that goes on, or the reference that all designs are held against.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypedDict, Unpack

from netwright.evaluator.baselines import baseline
from netwright.evaluator.calibration import ShareStore
from netwright.evaluator.composite import suite_error, suite_loss
from netwright.evaluator.devices import ON_CPU, Execution
from netwright.evaluator.laboratory import Examination, Laboratory
from netwright.evaluator.limits import AUDIT, LIMITS, AuditStrength, LaboratoryLimits
from netwright.evaluator.replies import Progress
from netwright.evaluator.tasks import AnyTask, Task
from netwright.evaluator.tasks.suite import REFERENCE, Suite
from netwright.sandbox.isolation import Tier
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, GateReport, SeedsAtOnce, Share, Split, Trial, TrialStatus, Usage

if TYPE_CHECKING:
    from netwright.evaluator.checkpoints import Shelf
    from netwright.measures import Measures

ANCHOR_SEED = 0


class TrialKey(NamedTuple):
    """What tells the trials of one task apart."""

    candidate_id: str
    rung: int
    seed: int
    split: Split = Split.VALIDATION
    repeat: int = 0
    rate: float = 1.0


class TrialOptions(TypedDict, total=False):
    """What may be said of a trial beyond candidate, rung and seed; see `Laboratory.trial`."""

    split: Split
    on_progress: Callable[[Progress], None] | None
    repeat: int
    rate: float
    cancel: threading.Event | None
    store_weights: Callable[[bytes], str] | None


class KnownTrials(Protocol):
    """Where trials of single tasks are looked up before they are run, and kept when they were."""

    def find(self, key: TrialKey, lab: Laboratory) -> Trial | None: ...

    def keep(self, candidate: Candidate, lab: Laboratory, trial: Trial) -> None: ...


class SuiteLaboratory:
    """Checks and tries candidates on all tasks of a suite; to its users it is a `Laboratory`."""

    def __init__(self, suite: Suite, laboratories: Sequence[Laboratory], known: KnownTrials | None) -> None:
        self.task, self.spec = suite, suite.spec
        self._labs = dict(zip(suite.names, laboratories, strict=True))
        self._known = known
        self._lock = threading.Lock()
        self._running: defaultdict[Hashable, threading.Lock] = defaultdict(threading.Lock)

    @property
    def tier(self) -> Tier:
        """How confined candidates are here."""
        return next(iter(self._labs.values())).tier

    def check(self, candidate: Candidate, *, cancel: threading.Event | None = None) -> tuple[GateReport, ...]:
        """Return the reports of the gates on the first task that rejects, or else on the first task."""
        return self.examine(candidate, cancel=cancel).reports

    def examine(self, candidate: Candidate, *, cancel: threading.Event | None = None) -> Examination:
        """Check the candidate on every task, and portray it if it passes on all: its function on all, its first trace.

        The function is one on tasks of all their lengths, for what tells two designs apart may show at the longest.
        """
        found: list[Examination] = []
        for name, lab in self._labs.items():
            found.append(lab.examine(candidate, cancel=cancel))
            reports = found[-1].reports
            if any(report.rejects for report in reports):
                return Examination(tuple(_on_task(name, each) if each.rejects else each for each in reports))
        functions = [each.portrait.function for each in found]
        joined = None if None in functions else hashlib.sha256(" ".join(map(str, functions)).encode()).hexdigest()
        return Examination(found[0].reports, found[0].portrait.model_copy(update={"function": joined}))

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
    ) -> Trial:
        """Train the candidate on every task and put the losses together; see `Laboratory.trial`."""
        key = TrialKey(candidate.id, rung, seed, split, repeat, rate)
        trials: dict[str, Trial] = {}
        for place, name in enumerate(self._labs):
            trials[name] = self._single(
                name,
                candidate,
                key,
                on_progress=on_progress and _share(on_progress, place, len(self._labs)),
                cancel=cancel,
                store_weights=store_weights,
                known=self._parts(name, known),
            )
            if trials[name].status is not TrialStatus.DONE:
                break
        together = _together(self.spec.id, trials)
        if together.status is not TrialStatus.DONE:
            return together
        anchors = [self._anchor(name, rung, cancel) for name in self._labs]
        failed = [anchor for anchor in anchors if anchor.loss_nats is None]
        if failed:
            reason = f"the reference, {REFERENCE}, could not be trained: {failed[0].reason}"
            return together.model_copy(update={"status": failed[0].status, "reason": reason})
        return together.model_copy(update=self._scored(trials, [anchor.loss_nats or 0.0 for anchor in anchors]))

    def trains_at_once(self, candidate: Candidate, split: Split = Split.VALIDATION, repeat: int = 0) -> bool:
        """Never: the tasks that come first may end the trial of one seed and not of another."""
        return False

    def trials(
        self,
        candidate: Candidate,
        *,
        rung: int,
        seeds: Sequence[int],
        **options: Unpack[TrialOptions],
    ) -> Iterator[Trial]:
        """Yield the trial of each seed as it ends."""
        for seed in seeds:
            yield self.trial(candidate, rung=rung, seed=seed, **options)

    def measure(self, candidate: Candidate, *, cancel: threading.Event | None = None) -> Measures:
        """Measure the candidate in the network of the first task, for the suite; see `Laboratory.measure`."""
        found = next(iter(self._labs.values())).measure(candidate, cancel=cancel)
        return found.model_copy(update={"task_id": self.spec.id})

    def shares(self, candidate: Candidate, *, cancel: threading.Event | None = None) -> tuple[Share, ...]:
        """Return what the candidate trains on for each task; see `Laboratory.shares`."""
        return tuple(share for lab in self._labs.values() for share in lab.shares(candidate, cancel=cancel))

    def _parts(self, name: str, trials: Sequence[Trial]) -> list[Trial]:
        """Return what trials of the suite were on one task, as far as that is known."""
        if self._known is None:
            return []
        keys = [TrialKey(t.candidate_id, t.rung, t.seed, t.split, t.repeat, t.rate) for t in trials]
        found = [self._known.find(key, self._labs[name]) for key in keys]
        return [trial for trial in found if trial is not None]

    def _scored(self, trials: dict[str, Trial], references: Sequence[float]) -> dict[str, object]:
        losses = [trial.loss_nats or 0.0 for trial in trials.values()]
        errors = [trial.loss_standard_error or 0.0 for trial in trials.values()]
        scales = self.task.scales_nats
        return {
            "loss_nats": suite_loss(losses, references, scales),
            "loss_standard_error": suite_error(losses, errors, references, scales),
            "metrics": {f"{name}_nats": loss for name, loss in zip(trials, losses, strict=True)},
        }

    def _anchor(self, name: str, rung: int, cancel: threading.Event | None) -> Trial:
        """Return the reference's trial: a constant of the suite at that rung, whatever seed or split is scored."""
        reference = baseline(REFERENCE)
        return self._single(name, reference, TrialKey(reference.id, rung, ANCHOR_SEED), cancel=cancel)

    def _single(
        self,
        name: str,
        candidate: Candidate,
        key: TrialKey,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
        store_weights: Callable[[bytes], str] | None = None,
        known: Sequence[Trial] = (),
    ) -> Trial:
        """Return the trial on one task, from memory or a new one; whoever asks meanwhile waits for it."""
        lab = self._labs[name]
        with self._alone((name, key)):
            trial = self._known.find(key, lab) if self._known else None
            if trial is None:
                trial = lab.trial(
                    candidate,
                    rung=key.rung,
                    seed=key.seed,
                    split=key.split,
                    on_progress=on_progress,
                    repeat=key.repeat,
                    rate=key.rate,
                    cancel=cancel,
                    store_weights=store_weights,
                    known=known,
                )
                if self._known and trial.status is not TrialStatus.INTERRUPTED:
                    self._known.keep(candidate, lab, trial)
        return trial

    def _alone(self, key: Hashable) -> threading.Lock:
        with self._lock:
            return self._running[key]


AnyLaboratory = Laboratory | SuiteLaboratory


def laboratory_for(
    sandbox: Sandbox,
    task: AnyTask,
    key: bytes,
    *,
    known: KnownTrials | None = None,
    shares: ShareStore | None = None,
    limits: LaboratoryLimits = LIMITS,
    audit: AuditStrength = AUDIT,
    seeds_at_once: SeedsAtOnce = "auto",
    shelf: Shelf | None = None,
    execution: Execution = ON_CPU,
) -> AnyLaboratory:
    """Return the laboratory of a task, or of a suite; `known` serves the tasks of a suite."""

    def single(task: Task) -> Laboratory:
        return Laboratory(
            sandbox,
            task,
            key,
            execution=execution,
            limits=limits,
            audit=audit,
            seeds_at_once=seeds_at_once,
            shares=shares,
            shelf=shelf,
        )

    return SuiteLaboratory(task, list(map(single, task.tasks)), known) if isinstance(task, Suite) else single(task)


def _on_task(name: str, report: GateReport) -> GateReport:
    return report.model_copy(update={"message": f"on task {name}: {report.message}"})


def _share(on_progress: Callable[[Progress], None], place: int, tasks: int) -> Callable[[Progress], None]:
    """Return a listener to the training on one of several tasks that counts the steps as if all took as many."""

    def tell(progress: Progress) -> None:
        done = place * progress.steps + progress.step
        on_progress(Progress(step=done, steps=tasks * progress.steps, loss=progress.loss))

    return tell


def _together(task_id: str, trials: dict[str, Trial]) -> Trial:
    """Return a trial that took what all of them took; it is done where they are, without a loss yet."""
    every = list(trials.values())
    last_name, last = list(trials.items())[-1]
    tokens = sum(trial.tokens for trial in every)
    counted = [trial for trial in every if trial.flops_per_token is not None]
    audits = [trial.audit for trial in every if trial.audit is not None]
    return last.model_copy(
        update={
            "task_id": task_id,
            "loss_nats": None,
            "loss_standard_error": None,
            "metrics": {},
            "audit": max(audits, key=lambda audit: audit.max_logit_difference, default=None),
            "parameters": max((trial.parameters or 0 for trial in every), default=0) or None,
            "flops_per_token": sum((t.flops_per_token or 0.0) * t.tokens for t in counted) / tokens
            if tokens and len(counted) == len(every)
            else None,
            "tokens": tokens,
            "steps": sum(trial.steps for trial in every),
            "usage": _usage([trial.usage for trial in every]),
            "curve": (),
            "telemetry": {key: last.telemetry[key] for key in ("device",) if key in last.telemetry},
            "weights": None,
            "reason": f"on task {last_name}: {last.reason}" if last.reason else "",
            "jobs": (),
        }
    )


def _usage(parts: Sequence[Usage]) -> Usage:
    return Usage(
        wall_seconds=sum(part.wall_seconds for part in parts),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
        peak_memory_bytes=max(part.peak_memory_bytes for part in parts),
        start_seconds=parts[0].start_seconds,
        scoring_seconds=sum(part.scoring_seconds for part in parts),
        warm=all(part.warm for part in parts),
        tier=min(part.tier for part in parts),
    )
