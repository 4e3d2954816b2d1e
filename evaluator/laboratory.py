"""The trusted door to measurement: gates and trials of candidates, through the sandbox.

    check:  static gates ─▶ one child: dynamic gates
    trial:  one child: training ─weights▶ two fresh children: logits A, logits B ─▶ audit ─▶ loss

Whatever a candidate does comes back as a value: a failed gate, or a trial with a status and a reason and no loss.
What children say is validated, and believed only where it is to their own disadvantage or of no consequence.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from netwright.evaluator import scoring
from netwright.evaluator.contract import inspect_source, recipe_of
from netwright.evaluator.replies import (
    DYNAMIC_GATES,
    AnyReply,
    CheckReply,
    Progress,
    TrainReply,
    WorkReply,
    parse_progress,
    parse_reply,
    parse_report,
)
from netwright.sandbox.job import ExitCause, Job, JobResult, Limits
from netwright.types import (
    Candidate,
    GateReport,
    JsonDict,
    Recipe,
    Split,
    TaskSpec,
    Trial,
    TrialStatus,
    Usage,
)

if TYPE_CHECKING:
    from netwright.evaluator.tasks.base import Batch, Task
    from netwright.sandbox.job import SharedInput
    from netwright.sandbox.runner import Sandbox

__all__ = ["LIMITS", "Laboratory", "LaboratoryLimits", "Progress"]

_log = logging.getLogger(__name__)

_WORKER = "netwright.evaluator.worker"
_CHECK, _TRAIN, _SCORE = (f"{_WORKER}:{name}_candidate" for name in ("check", "train", "score"))
_LAST_OUTPUT_CHARACTERS = 2000
_STATUS = {
    ExitCause.ERROR: TrialStatus.CRASHED,
    ExitCause.TIMEOUT: TrialStatus.TIMEOUT,
    ExitCause.OUT_OF_MEMORY: TrialStatus.OUT_OF_MEMORY,
    ExitCause.TOO_MUCH_OUTPUT: TrialStatus.TOO_MUCH_OUTPUT,
    ExitCause.TOO_MANY_THREADS: TrialStatus.TOO_MANY_THREADS,
    ExitCause.CRASHED: TrialStatus.CRASHED,
    ExitCause.CANCELLED: TrialStatus.INTERRUPTED,
}
_CLAIMED_STATUS = {
    "error": TrialStatus.CRASHED,
    "out of memory": TrialStatus.OUT_OF_MEMORY,
    "diverged": TrialStatus.DIVERGED,
    "bad weights": TrialStatus.BAD_WEIGHTS,
    "leak": TrialStatus.LEAK,
}


@dataclass(frozen=True, kw_only=True)
class LaboratoryLimits:
    """What a candidate may use at each stage.

    Training may take `train_base_seconds` plus a second per
    `train_tokens_per_second` tokens, about ten times what softmax attention needs.
    """

    check: Limits = Limits(wall_seconds=20.0, threads=8)
    score: Limits = Limits(wall_seconds=60.0, threads=8)
    train_base_seconds: float = 60.0
    train_tokens_per_second: float = 10_000.0
    train_memory_bytes: int = 3 << 30
    train_threads: int = 8

    def train(self, tokens: int) -> Limits:
        return Limits(
            wall_seconds=self.train_base_seconds + tokens / self.train_tokens_per_second,
            memory_bytes=self.train_memory_bytes,
            threads=self.train_threads,
        )


LIMITS = LaboratoryLimits()


class Laboratory:
    """Checks and tries candidates on one task.

    Both calls block, are thread-safe, and never raise for a fault of
    the candidate; SandboxError means that the laboratory itself failed.
    """

    ENTRIES = (_CHECK, _TRAIN, _SCORE)
    WARM_ZYGOTE = f"{_WORKER}:warm_zygote"
    WARM_CHILD = f"{_WORKER}:warm_child"

    def __init__(
        self,
        sandbox: Sandbox,
        task: Task,
        key: bytes,
        *,
        device: str = "cpu",
        limits: LaboratoryLimits = LIMITS,
    ) -> None:
        self.task, self.device, self.limits = task, device, limits
        self.spec = task.spec
        self._sandbox, self._key = sandbox, key
        self._lock = threading.Lock()
        self._held_out: dict[Split, Batch] = {}
        self._data: SharedInput | None = None

    def check(self, candidate: Candidate) -> tuple[GateReport, ...]:
        """Return the reports of all gates that were reached; the candidate is rejected if any of them rejects."""
        static = inspect_source(candidate.source, self.spec.scope)
        if any(report.rejects for report in static):
            return static
        running, finished = "", list[GateReport]()

        def listen(event: JsonDict) -> None:
            nonlocal running
            running = str(event.get("gate", running))
            report = parse_report(event)
            if report is not None:
                finished.append(report)

        recipe = recipe_of(candidate.source, self.spec.recipe)
        payload = {"source": candidate.source, "spec": _dump(self.spec), "recipe": _dump(recipe)}
        job = Job(entry=_CHECK, payload=payload, limits=self.limits.check)
        result = self._sandbox.run(job, on_event=listen)
        _log.info("candidate checked id=%s cause=%s", candidate.id[:12], result.cause)
        reply = parse_reply(result.reply, CheckReply) if result.cause is ExitCause.OK else None
        if reply is None:
            return (*static, *finished[: len(DYNAMIC_GATES)], _broken_gate(running, result))
        return (*static, *reply.gates, *_missing_gates(reply.gates))

    def trial(
        self,
        candidate: Candidate,
        *,
        rung: int,
        seed: int,
        split: Split = Split.VALIDATION,
        on_progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
        store_weights: Callable[[bytes], str] | None = None,
    ) -> Trial:
        """Train the candidate at `rung` with `seed` and score it on `split`.

        `on_progress` is called from this thread. `store_weights` gets the weight file of a trial that is done and
        returns the name under which the trial remembers it.
        """
        run = _TrialRun(self, candidate, rung=rung, seed=seed, split=split, cancel=cancel)
        try:
            run.train(on_progress)
            run.score()
            if store_weights is not None:
                run.facts["weights"] = store_weights(run.weights)
        except _Ended as ended:
            run.facts |= {"status": ended.status, "reason": ended.reason, "last_output": ended.last_output}
        trial = run.trial()
        _log.info(
            "trial finished candidate=%s rung=%d seed=%d status=%s wall_seconds=%.2f",
            candidate.id[:12],
            rung,
            seed,
            trial.status,
            trial.usage.wall_seconds,
        )
        return trial

    def held_out(self, split: Split) -> Batch:
        """Return the rows of the split, made once."""
        with self._lock:
            if split not in self._held_out:
                self._held_out[split] = self.task.held_out(split, self._key)
            return self._held_out[split]

    def training_input(self) -> dict[str, SharedInput]:
        """Return the training data as a job's input, put into shared memory once."""
        with self._lock:
            if self._data is None:
                data = self.task.training_data()
                if not data:
                    return {}
                self._data = self._sandbox.share(data)
            return {"data": self._data}

    def run_job(self, job: Job, listen: Callable[[JsonDict], None] | None, cancel: threading.Event | None) -> JobResult:
        """Run one job of a trial in the sandbox."""
        return self._sandbox.run(job, on_event=listen, cancel=cancel)

    def twins_generator(self, candidate: Candidate, seed: int, rung: int) -> np.random.Generator:
        """Return the randomness of the audit; without the key nobody can foresee where a row will be cut."""
        label = f"twins/{candidate.id}/{seed}/{rung}".encode()
        return np.random.default_rng(int.from_bytes(hashlib.sha256(self._key + label).digest(), "big"))


class _Ended(Exception):
    """A trial is over without a loss."""

    def __init__(self, status: TrialStatus, reason: str, last_output: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.last_output = status, reason, last_output[-_LAST_OUTPUT_CHARACTERS:]


@dataclass
class _TrialRun:
    """One trial under way: collects the facts that the trial will hold."""

    laboratory: Laboratory
    candidate: Candidate
    rung: int
    seed: int
    split: Split
    cancel: threading.Event | None
    facts: dict[str, Any] = field(default_factory=dict)
    training: JobResult | None = None
    scorings: list[JobResult] = field(default_factory=list)
    scoring_seconds: float = 0.0
    weights: bytes = b""

    @property
    def spec(self) -> TaskSpec:
        return self.laboratory.spec

    def train(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Leave the weight file in `weights`, and the child's claims in the facts."""

        def listen(event: JsonDict) -> None:
            progress = parse_progress(event)
            if progress is not None and on_progress is not None:
                on_progress(progress)

        recipe = self._recipe()
        room = scoring.weight_bytes_max(self.spec)
        job = Job(
            entry=_TRAIN,
            payload=self._payload() | {"recipe": _dump(recipe), "rung": self.rung},
            inputs=self.laboratory.training_input(),
            outputs={"weights": room},
            limits=self.laboratory.limits.train(self.spec.rungs[self.rung].tokens),
        )
        self.training = result = self.laboratory.run_job(job, listen, self.cancel)
        reply = self._answer(result, TrainReply, "training")
        tokens = min(reply.steps * recipe.batch_size * self.spec.max_len, self.spec.rungs[self.rung].tokens)
        self.facts |= {
            "steps": reply.steps,
            "tokens": tokens,
            "curve": reply.curve,
            "flops_per_token": reply.flops_per_token,
            "telemetry": {"train_seconds": reply.train_seconds},
        }
        self._stop_unless_done(reply, result, "training")
        self.weights = result.outputs["weights"][: min(reply.weights_bytes, room)]
        self._check_weights()

    def score(self) -> None:
        """Ask two fresh processes, audit their answers, and put loss and metrics into the facts."""
        begun = time.monotonic()
        try:
            self._score()
        finally:
            self.scoring_seconds = time.monotonic() - begun

    def trial(self) -> Trial:
        return Trial(
            candidate_id=self.candidate.id,
            task_id=self.spec.id,
            rung=self.rung,
            seed=self.seed,
            split=self.split,
            usage=self._usage(),
            **self.facts,
        )

    def _score(self) -> None:
        batch = self.laboratory.held_out(self.split)
        generator = self.laboratory.twins_generator(self.candidate, self.seed, self.rung)
        twins = scoring.make_twins(batch.inputs, batch.targets, generator)
        logits_a = self._ask(twins.sheet_a, twins.order_a)
        logits_b = self._ask(twins.sheet_b, twins.order_b)
        audit = scoring.audit(logits_a, logits_b, twins, batch.targets)
        self.facts["audit"] = audit
        if not audit.passed:
            _, n_rows = scoring.worst_difference(logits_a, logits_b, twins.cuts)
            raise _Ended(
                TrialStatus.LEAK,
                f"logits changed by up to {audit.max_logit_difference:.3g} (at most {audit.tolerance:g} is rounding) "
                f"in {n_rows} of {audit.rows} rows when only later inputs and the order of rows changed: outputs "
                "may depend on nothing but earlier inputs of the same row",
            )
        loss = scoring.score_logits(logits_a, batch.targets)
        metrics = {"accuracy": loss.accuracy}
        if self.spec.metric == "bits per byte":
            metrics["bits_per_byte"] = loss.nats / math.log(2)
        self.facts |= {
            "status": TrialStatus.DONE,
            "loss_nats": loss.nats,
            "loss_standard_error": loss.standard_error,
            "metrics": metrics,
        }

    def _ask(self, sheet: scoring.IntRows, order: scoring.Order) -> scoring.FloatRows:
        rows, length = sheet.shape
        job = Job(
            entry=_SCORE,
            payload=self._payload() | {"rows": rows},
            inputs={"weights": self.weights, "tokens": sheet.tobytes()},
            outputs={"logits": scoring.logits_bytes(rows, length, self.spec.vocab_size)},
            limits=self.laboratory.limits.score,
        )
        result = self.laboratory.run_job(job, None, self.cancel)
        self.scorings.append(result)
        self._stop_unless_done(self._answer(result, WorkReply, "scoring"), result, "scoring")
        try:
            return scoring.read_logits(result.outputs["logits"], order, self.spec)
        except scoring.BadLogits as error:
            raise _Ended(TrialStatus.BAD_LOGITS, str(error), result.last_output) from None

    def _recipe(self) -> Recipe:
        try:
            return recipe_of(self.candidate.source, self.spec.recipe)
        except ValueError as error:
            raise _Ended(TrialStatus.CRASHED, str(error)) from None

    def _payload(self) -> JsonDict:
        return {
            "source": self.candidate.source,
            "spec": _dump(self.spec),
            "seed": self.seed,
            "device": self.laboratory.device,
        }

    def _answer(self, result: JobResult, kind: type[AnyReply], stage: str) -> AnyReply:
        if result.cause is not ExitCause.OK:
            raise _Ended(_STATUS[result.cause], f"{_why(result)} (while {stage})", result.last_output)
        reply = parse_reply(result.reply, kind)
        if reply is None:
            reason = f"the process answered with something that is no reply (while {stage})"
            raise _Ended(TrialStatus.CRASHED, reason, result.last_output)
        return reply

    def _stop_unless_done(self, reply: WorkReply, result: JobResult, stage: str) -> None:
        if reply.status != "done":
            status = _CLAIMED_STATUS[reply.status]
            raise _Ended(status, f"{reply.reason} (while {stage})", result.last_output)
        if self.cancel is not None and self.cancel.is_set():
            raise _Ended(TrialStatus.INTERRUPTED, "stopped on request")

    def _check_weights(self) -> None:
        try:
            report = scoring.read_weights(self.weights, self.spec)
        except scoring.BadWeights as error:
            raise _Ended(TrialStatus.BAD_WEIGHTS, str(error)) from None
        self.facts["parameters"] = report.parameters

    def _usage(self) -> Usage:
        jobs = [job for job in (self.training, *self.scorings) if job is not None]
        if self.training is None:
            return Usage()
        return Usage(
            wall_seconds=self.training.wall_seconds + self.scoring_seconds,
            cpu_seconds=sum(job.cpu_seconds for job in jobs),
            peak_memory_bytes=max(job.peak_memory_bytes for job in jobs),
            start_seconds=self.training.start_seconds,
            scoring_seconds=self.scoring_seconds,
            warm=self.training.warm,
            tier=str(self.training.tier),
        )


def _dump(record: TaskSpec | Recipe) -> JsonDict:
    return record.model_dump(mode="json")


def _why(result: JobResult) -> str:
    if result.cause is ExitCause.ERROR and result.reply:
        return f"{result.reply.get('error', 'error')}: {result.reply.get('message', '')}"[:2000]
    return result.reason


def _broken_gate(running: str, result: JobResult) -> GateReport:
    gate = running if running in DYNAMIC_GATES else DYNAMIC_GATES[0]
    why = _why(result) or "the process answered with something that is no reply"
    evidence = {"cause": str(result.cause), "last_output": result.last_output[-_LAST_OUTPUT_CHARACTERS:]}
    return GateReport(gate=gate, passed=False, message=why, evidence=evidence, seconds=result.wall_seconds)


def _missing_gates(reports: tuple[GateReport, ...]) -> tuple[GateReport, ...]:
    """Return a failure for the first gate that a reply without any rejection leaves out."""
    if any(report.rejects for report in reports):
        return ()
    told = {report.gate for report in reports}
    missing = [gate for gate in DYNAMIC_GATES if gate not in told][:1]
    message = "the candidate's process did not report on this gate"
    return tuple(GateReport(gate=gate, passed=False, message=message) for gate in missing)
