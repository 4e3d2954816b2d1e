"""One trial, step by step: train in one child, question two fresh ones, audit, score.

Nothing that a child says makes a loss: training's claims only fill the advisory fields, and the loss comes from
logits of processes that never had the answers. Nothing that a scoring process says is passed on.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netwright.evaluator import budget, scoring
from netwright.evaluator.contract import recipe_of
from netwright.evaluator.limits import AuditStrength, LaboratoryLimits
from netwright.evaluator.replies import Progress, TrainReply, WorkReply, parse_progress, parse_reply
from netwright.evaluator.scoring_failure import claimed_failure, job_failure
from netwright.evaluator.tasks.base import Batch
from netwright.sandbox.job import ExitCause, Job, JobResult, SharedInput
from netwright.types import Audit, Candidate, JsonDict, Recipe, Split, TaskSpec, Trial, TrialStatus, Usage

TRAIN_ENTRY = "netwright.evaluator.worker:train_candidate"
SCORE_ENTRY = "netwright.evaluator.worker:score_candidate"
LAST_OUTPUT_CHARACTERS = 2000
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
_NO_REPLY = "the process answered with something that is no reply"


class Ended(Exception):
    """A trial is over without a loss."""

    def __init__(self, status: TrialStatus, reason: str, last_output: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.last_output = status, reason, last_output[-LAST_OUTPUT_CHARACTERS:]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a laboratory lends to a trial.

    `run` calls the sandbox, `data` is the training data as a job's input, `rows` are the held-out rows, and `twins`
    is randomness that no candidate can foresee.
    """

    spec: TaskSpec
    device: str
    limits: LaboratoryLimits
    audit: AuditStrength
    run: Callable[[Job, Callable[[JsonDict], None] | None], JobResult]
    data: Mapping[str, SharedInput]
    rows: Batch
    twins: np.random.Generator


@dataclass
class TrialRun:
    """One trial under way: collects the facts that the trial will hold."""

    bench: Bench
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
        return self.bench.spec

    def train(self, on_progress: Callable[[Progress], None] | None) -> None:
        """Leave the weight file in `weights`, and the child's claims in the facts."""

        def listen(event: JsonDict) -> None:
            progress = parse_progress(event)
            if progress is not None and on_progress is not None:
                on_progress(progress)

        recipe = self._recipe()
        room = scoring.weight_bytes_max(self.spec)
        job = Job(
            entry=TRAIN_ENTRY,
            payload=self._payload() | {"recipe": dump(recipe), "rung": self.rung},
            inputs=self.bench.data,
            outputs={"weights": room},
            limits=self.bench.limits.train(self.spec.rungs[self.rung].tokens),
        )
        self.training = result = self.bench.run(job, listen)
        reply = self._training_reply(result)
        self._check_steps(reply, recipe)
        self.facts |= {
            "steps": reply.steps,
            "tokens": budget.tokens_of(self.spec, recipe, self.rung, reply.steps),
            "curve": reply.curve,
            "flops_per_token": reply.flops_per_token,
            "telemetry": {"train_seconds": reply.train_seconds},
        }
        if reply.status != "done":
            raise Ended(_CLAIMED_STATUS[reply.status], f"{reply.reason} (while training)", result.last_output)
        self._stop_on_request()
        self.weights = result.outputs["weights"][: min(reply.weights_bytes, room)]
        self._check_weights()

    def score(self) -> None:
        """Ask fresh processes, audit their answers, and put loss and metrics into the facts."""
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
        batch = self.bench.rows
        sheets = self.bench.audit.sheets(self.rung, self.split)
        twins = [scoring.make_twins(batch.inputs, batch.targets, self.bench.twins) for _ in range(sheets)]
        logits_a = self._ask(twins[0].sheet_a, twins[0].order_a)
        audits = [self._audited(logits_a, sheet) for sheet in twins]
        self.facts["audit"] = scoring.worst_audit(audits)
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

    def _audited(self, logits_a: scoring.FloatRows, twins: scoring.Twins) -> Audit:
        """Put one sheet of twins to a fresh process and compare; ends the trial where the answers differ."""
        logits_b = self._ask(twins.sheet_b, twins.order_b)
        audit = scoring.audit(logits_a, logits_b, twins, self.bench.rows.targets)
        if not audit.passed:
            self.facts["audit"] = audit
            _, n_rows = scoring.worst_difference(logits_a, logits_b, twins.cuts)
            raise Ended(
                TrialStatus.LEAK,
                f"logits changed by up to {audit.max_logit_difference:.3g} (at most {audit.tolerance:g} is rounding) "
                f"in {n_rows} of {audit.rows} rows when only later inputs and the order of rows changed: outputs "
                "may depend on nothing but earlier inputs of the same row",
            )
        return audit

    def _ask(self, sheet: scoring.IntRows, order: scoring.Order) -> scoring.FloatRows:
        rows, length = sheet.shape
        job = Job(
            entry=SCORE_ENTRY,
            payload=self._payload() | {"rows": rows},
            inputs={"weights": self.weights, "tokens": sheet.tobytes()},
            outputs={"logits": scoring.logits_bytes(rows, length, self.spec.vocab_size)},
            limits=self.bench.limits.score(),
        )
        result = self.bench.run(job, None)
        self.scorings.append(result)
        self._check_scoring(result)
        try:
            return scoring.read_logits(result.outputs["logits"], order, self.spec)
        except scoring.BadLogits as error:
            raise Ended(TrialStatus.BAD_LOGITS, str(error)) from None

    def _recipe(self) -> Recipe:
        try:
            return recipe_of(self.candidate.source, self.spec.recipe)
        except ValueError as error:
            raise Ended(TrialStatus.CRASHED, str(error)) from None

    def _payload(self) -> JsonDict:
        return {
            "source": self.candidate.source,
            "spec": dump(self.spec),
            "seed": self.seed,
            "device": self.bench.device,
        }

    def _training_reply(self, result: JobResult) -> TrainReply:
        if result.cause is not ExitCause.OK:
            raise Ended(_STATUS[result.cause], f"{why(result)} (while training)", result.last_output)
        reply = parse_reply(result.reply, TrainReply)
        if reply is None:
            raise Ended(TrialStatus.CRASHED, f"{_NO_REPLY} (while training)", result.last_output)
        return reply

    def _check_steps(self, reply: TrainReply, recipe: Recipe) -> None:
        """End the trial of a training that says it took other steps than paid for.

        A process that trains longer and says otherwise is bounded by the time limit alone.
        """
        paid = budget.step_count(self.spec, recipe, self.rung)
        if reply.steps > paid or (reply.status == "done" and reply.steps != paid):
            raise Ended(
                TrialStatus.CRASHED,
                f"the training took {reply.steps} steps, the rung's budget pays for {paid}: the loop is not the "
                "candidate's to change",
            )

    def _check_scoring(self, result: JobResult) -> None:
        if result.cause is not ExitCause.OK:
            raise Ended(_STATUS[result.cause], f"{job_failure(result)} (while scoring)")
        reply = parse_reply(result.reply, WorkReply)
        if reply is None:
            raise Ended(TrialStatus.CRASHED, f"{_NO_REPLY} (while scoring)")
        if reply.status != "done":
            reason = claimed_failure(reply, self.candidate.source)
            raise Ended(_CLAIMED_STATUS[reply.status], f"{reason} (while scoring)")
        self._stop_on_request()

    def _stop_on_request(self) -> None:
        if self.cancel is not None and self.cancel.is_set():
            raise Ended(TrialStatus.INTERRUPTED, "stopped on request")

    def _check_weights(self) -> None:
        try:
            report = scoring.read_weights(self.weights, self.spec)
        except scoring.BadWeights as error:
            raise Ended(TrialStatus.BAD_WEIGHTS, str(error)) from None
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


def dump(record: TaskSpec | Recipe) -> JsonDict:
    """Return a record as it travels in a payload."""
    return record.model_dump(mode="json")


def why(result: JobResult) -> str:
    """Return the sentence for a job that did not end well."""
    if result.cause is ExitCause.ERROR and result.reply:
        return f"{result.reply.get('error', 'error')}: {result.reply.get('message', '')}"[:2000]
    return result.reason
