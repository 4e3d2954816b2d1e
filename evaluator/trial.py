"""One trial, step by step: train in one child, question two fresh ones, audit, score.

Nothing that a child says makes a loss: training's claims only fill the advisory fields, and the loss comes from
logits of processes that never had the answers. Where the rows are the answers, processes reply with codes and the
logits are read out of those here. Nothing that a scoring process says is passed on.
"""

from __future__ import annotations

import math
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from netwright.evaluator import budget, scoring
from netwright.evaluator.checkpoints import Checkpoints, Shelf, bytes_max
from netwright.evaluator.contract import recipe_of, scaled
from netwright.evaluator.decoding import Decoder, decode, read_decoder
from netwright.evaluator.devices import Execution, backends
from netwright.evaluator.early_stop import Follower
from netwright.evaluator.job_logs import claiming_log, scoring_log
from netwright.evaluator.joined_jobs import Part
from netwright.evaluator.limits import GRAPH, STAGE_TIMEOUTS, AuditStrength, LaboratoryLimits
from netwright.evaluator.replies import AnyReply, Progress, TrainReply, WorkReply, parse_progress, parse_reply
from netwright.evaluator.scoring_failure import claimed_failure, job_failure
from netwright.evaluator.sheets import Order, Rows, Sheets, draw_order, make_sheets
from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.sandbox.job import ExitCause, Job, JobResult, SharedInput
from netwright.sandbox.layers import OPEN_FILES
from netwright.types import Audit, Candidate, JobLog, JsonDict, Recipe, Split, TaskSpec, Trial, TrialStatus, Usage

TRAIN_ENTRY = "netwright.evaluator.worker:train_candidate"
SCORE_ENTRY = "netwright.evaluator.worker:score_candidate"
LAST_OUTPUT_CHARACTERS = 2000
_STATUS = {
    ExitCause.ERROR: TrialStatus.CRASHED,
    ExitCause.TIMEOUT: TrialStatus.TIMEOUT,
    ExitCause.STAGE_TIMEOUT: TrialStatus.TIMEOUT,
    ExitCause.TOO_MUCH_CPU: TrialStatus.TOO_MUCH_CPU,
    ExitCause.TOO_MANY_FILES: TrialStatus.TOO_MANY_FILES,
    ExitCause.OUT_OF_MEMORY: TrialStatus.OUT_OF_MEMORY,
    ExitCause.TOO_MUCH_OUTPUT: TrialStatus.TOO_MUCH_OUTPUT,
    ExitCause.TOO_MANY_THREADS: TrialStatus.TOO_MANY_THREADS,
    ExitCause.CRASHED: TrialStatus.CRASHED,
    ExitCause.CANCELLED: TrialStatus.INTERRUPTED,
}
CLAIMED_STATUS = {
    "error": TrialStatus.CRASHED,
    "out of memory": TrialStatus.OUT_OF_MEMORY,
    "too many threads": TrialStatus.TOO_MANY_THREADS,
    "too many files": TrialStatus.TOO_MANY_FILES,
    "diverged": TrialStatus.DIVERGED,
    "bad weights": TrialStatus.BAD_WEIGHTS,
    "leak": TrialStatus.LEAK,
}
_NO_REPLY = "the process answered with something that is no reply"


class TrialEnded(Exception):
    """A trial is over without a loss."""

    def __init__(self, status: TrialStatus, reason: str, last_output: str = "") -> None:
        super().__init__(reason)
        self.status, self.reason, self.last_output = status, reason, last_output[-LAST_OUTPUT_CHARACTERS:]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a laboratory lends to a trial.

    `run` calls the sandbox, `data` is the training data as a job's input, `rows` are the held-out rows. `asked` and
    `twins` are randomness that no candidate can foresee: the order in which rows are asked, the same for every
    repetition, and the second sheets, new for each. `audit` says how many of those there are. On the `shelf`, if there
    is one, trainings are kept every `checkpoint_seconds`. `compilers` says whether confinement lets processes start
    other programs, as compilers do.
    """

    spec: TaskSpec
    execution: Execution
    compilers: bool
    limits: LaboratoryLimits
    audit: AuditStrength
    run: Callable[[Job, Callable[[JsonDict], str] | None], JobResult]
    data: Mapping[str, SharedInput]
    rows: Batch
    asked: np.random.Generator
    twins: np.random.Generator
    shelf: Shelf | None
    checkpoint_seconds: float


@dataclass
class TrialRun:
    """One trial under way: collects the facts that the trial will hold.

    `tokens` are what it trains on; `calibrations` the processes, each with its purpose, that found out how many. It
    ends early where its training is hopeless beside those `known`. `part` is what training it at once with other seeds
    came to, where that was tried.
    """

    bench: Bench
    candidate: Candidate
    rung: int
    tokens: int
    seed: int
    split: Split
    repeat: int
    rate: float
    cancel: threading.Event | None
    known: Sequence[Trial] = ()
    part: Part = field(default_factory=Part)
    facts: dict[str, Any] = field(default_factory=dict)
    calibrations: list[tuple[str, JobResult]] = field(default_factory=list)
    training: JobResult | None = None
    scorings: dict[int, JobResult] = field(default_factory=dict)
    scoring_seconds: float = 0.0
    weights: bytes = b""
    decoder: Decoder | None = None
    to_compile: bool = False
    not_compiled: str = ""
    checkpoints: Checkpoints | None = None

    @property
    def spec(self) -> TaskSpec:
        return self.bench.spec

    def train(self, on_progress: Callable[[Progress], None] | None) -> JobResult:
        """Leave the weight file in `weights`, and the child's claims in the facts; return how its process ended."""
        recipe, tokens = recipe_in(self.candidate, self.spec, self.rate), self.tokens
        steps = budget.step_count(self.spec, recipe, tokens=tokens)
        checkpoints = self._checkpoints(steps)
        follower = Follower(self.known, steps, checkpoints.kept.points)

        def listen(event: JsonDict) -> str:
            progress = parse_progress(event)
            if progress is None:
                checkpoints.hear(event, follower.points)
                return ""
            if on_progress is not None:
                on_progress(progress)
            return follower.hear(progress)

        with checkpoints:
            self.training = result = self.part.result or self._trained(checkpoints, listen)
        if follower.verdict:
            self._stop_early(follower, recipe, tokens)
        reply = reply_of(result, TrainReply, "training")
        self._check_steps(reply, recipe)
        self.facts |= {
            "steps": reply.steps,
            "tokens": budget.tokens_of(self.spec, recipe, reply.steps, tokens=tokens),
            "curve": reply.curve,
            "flops_per_token": reply.flops_per_token,
            "telemetry": self._telemetry(reply) | checkpoints.telemetry,
        }
        if reply.status != "done":
            words = f"{reply.reason}{self._allowed(reply.status)} (while training)"
            raise TrialEnded(CLAIMED_STATUS[reply.status], words, result.last_output)
        self._stop_on_request()
        self.weights = bytes(result.outputs["weights"][: reply.weights_bytes])
        self._check_weights()
        return result

    def _trained(self, checkpoints: Checkpoints, listen: Callable[[JsonDict], str]) -> JobResult:
        """Run the training; once more, as the network stands, where compiling it took too long or its process."""
        if not (tried := self._backends()):
            return self.bench.run(self.training_job(checkpoints), listen)
        with tempfile.TemporaryDirectory(prefix="netwright-", ignore_cleanup_errors=True) as scratch:
            result = self.bench.run(self.training_job(checkpoints, tried, scratch), listen)
        lost = result.cause not in (ExitCause.OK, ExitCause.CANCELLED) and result.stages[-1:]
        if not lost or lost[0][0] != GRAPH:
            return result
        self.not_compiled = result.reason
        self.calibrations.append(("compile", result))
        return self.bench.run(self.training_job(checkpoints), listen)

    def _backends(self) -> Sequence[str]:
        """Return what may compile the network; where nothing can, remember why."""
        recipe, execution = recipe_in(self.candidate, self.spec, self.rate), self.bench.execution
        if not execution.compiles(budget.step_count(self.spec, recipe, tokens=self.tokens)):
            return ()
        if self.spec.protocol != "tokens":
            self.not_compiled = "budgets are equal in what networks take as they stand"
            return ()
        found = backends(execution, starts_compilers=self.bench.compilers)
        self.to_compile = bool(found)
        if not found:
            self.not_compiled = "a confined process can start no compiler (see docs/training.md)"
        return found

    def _telemetry(self, reply: TrainReply) -> JsonDict:
        """Return what is remembered of how the training was executed."""
        executed = reply.executed.model_dump(exclude_none=True) if reply.executed else {}
        executed |= {"not_compiled": self.not_compiled} if self.not_compiled else {}
        executed |= {"to_compile": True} if self.to_compile else {}
        return {
            "train_seconds": reply.train_seconds,
            "device": self.bench.execution.name,
            **executed,
            **self.part.telemetry,
        }

    def training_job(
        self, checkpoints: Checkpoints | None = None, backends: Sequence[str] = (), scratch: str = ""
    ) -> Job:
        """Return the job that trains, or goes on where `checkpoints` says, and may compile the network before.

        Raises: TrialEnded where the candidate's recipe is none.
        """
        # Who is given fewer tokens because they cost more needs the time of the rung for them.
        tokens = max(self.tokens, self.spec.rungs[self.rung].tokens)
        job = Job(
            entry=TRAIN_ENTRY,
            payload=self._payload()
            | {"recipe": dump(recipe_in(self.candidate, self.spec, self.rate)), "tokens": self.tokens}
            | {"backends": list(backends), "scratch": scratch},
            inputs=self.bench.data,
            outputs={"weights": scoring.weight_bytes_max(self.spec)},
            limits=self.bench.limits.train(tokens),
        )
        if checkpoints is None:
            return job
        graph_seconds = self.bench.execution.compile_seconds if backends else 0.0
        limits = self.bench.limits.train(round(tokens * checkpoints.left), graph_seconds)
        return checkpoints.of(replace(job, limits=limits))

    def _checkpoints(self, steps: int) -> Checkpoints:
        """Return what was kept of this trial's training, and a place for what will be."""
        trial = {"candidate": self.candidate.id, "task": self.spec.id, "rung": self.rung, "seed": self.seed}
        # The state of a training on a device, or of several at once, is more than is taken down.
        whole = self.spec.device == "cpu" and self.part.result is None
        self.checkpoints = Checkpoints(
            self.bench.shelf if whole else None,
            trial | {"split": self.split, "repeat": self.repeat, "rate": self.rate},
            {"tokens": self.tokens, "compile": self.bench.execution.compiles(steps)},
            steps=steps,
            room=bytes_max(self.spec),
            every=self.bench.checkpoint_seconds,
        )
        return self.checkpoints

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
            repeat=self.repeat,
            rate=self.rate,
            usage=self._usage(),
            jobs=self._job_logs(),
            **self.facts,
        )

    def _score(self) -> None:
        batch, stepwise = self.bench.rows, self.spec.stepwise
        count = self.bench.audit.sheets(self.rung, self.split)
        # The order in which the scored rows are asked is that of every repetition: it decides the last bits of a loss.
        asked = draw_order(len(batch.inputs), self.bench.asked, causal=stepwise)
        sheets = [
            make_sheets(batch.inputs, batch.targets, self.bench.twins, causal=stepwise, order_a=asked)
            for _ in range(count)
        ]
        # One after the other: processes that live at the same time could tell one another what they see, by timing say.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="scoring") as asking:
            answering = asking.submit(self._ask, 0, sheets[0].sheet_a, sheets[0].order_a)
            auditing = [asking.submit(self._audit, n, each, answering) for n, each in enumerate(sheets, start=1)]
            try:
                loss = scoring.score_answers(answering.result(), batch.targets)
                self._pass_judgement([each.result() for each in auditing])
            finally:
                asking.shutdown(cancel_futures=True)
        metrics = dict(loss.metrics)
        if batch.floor_nats is not None:
            metrics["excess_nats"] = loss.nats - float(batch.floor_nats[batch.targets != UNSCORED].mean())
        if self.spec.metric == "bits per byte":
            metrics["bits_per_byte"] = loss.nats / math.log(2)
        self.facts |= {
            "status": TrialStatus.DONE,
            "loss_nats": loss.nats,
            "loss_standard_error": loss.standard_error,
            "metrics": metrics,
        }

    def _audit(
        self, place: int, sheets: Sheets, answering: Future[scoring.Answers]
    ) -> tuple[Audit, scoring.Difference]:
        """Put a second sheet to a fresh process and compare its answers with those of the first."""
        answers_b = self._ask(place, sheets.sheet_b, sheets.order_b)
        return scoring.audit(answering.result(), answers_b, sheets, self.bench.rows.targets)

    def _pass_judgement(self, found: Sequence[tuple[Audit, scoring.Difference]]) -> None:
        """Keep the worst audit; ends the trial where answers differ."""
        self.facts["audit"] = worst = scoring.worst_audit([audit for audit, _ in found])
        if worst.passed:
            return
        n_rows = scoring.worst_difference(*(difference for _, difference in found)).rows
        changed, allowed = (
            ("later inputs and the order of rows", "earlier inputs of the same row")
            if self.spec.stepwise
            else ("the order, the company and the repetition of rows", "the row itself")
        )
        raise TrialEnded(
            TrialStatus.LEAK,
            f"logits changed by up to {worst.max_logit_difference:.3g} (at most {worst.tolerance:g} is rounding) "
            f"in {n_rows} of {worst.rows} rows when only {changed} changed: outputs may depend on nothing but "
            f"{allowed}",
        )

    def _ask(self, place: int, sheet: Rows, order: Order) -> scoring.Answers:
        """Have a fresh process answer a sheet; `place` 0 is that of the rows that are scored."""
        rows = len(sheet)
        job = Job(
            entry=SCORE_ENTRY,
            payload=self._payload() | {"rows": rows},
            inputs={"weights": self.weights, "rows": sheet.tobytes()},
            outputs={"answers": scoring.reply_bytes(rows, self.spec)},
            limits=self.bench.limits.score(),
        )
        result = self.bench.run(job, None)
        self.scorings[place] = replace(result, outputs={})  # a trial's logits together are hundreds of megabytes
        self._check_scoring(result)
        try:
            reply: bytes | memoryview = result.outputs["answers"]
            if self.decoder is not None:
                reply = decode(reply, rows, self.decoder, self.spec)
            return scoring.read_answers(reply, order, self.spec)
        except scoring.BadLogits as error:
            raise TrialEnded(TrialStatus.BAD_LOGITS, str(error)) from None

    def _payload(self) -> JsonDict:
        return {
            "source": self.candidate.source,
            "spec": dump(self.spec),
            "seed": self.seed,
        }

    def _stop_early(self, follower: Follower, recipe: Recipe, tokens: int) -> NoReturn:
        """End the trial of a training that was ended, with what is known of it until then."""
        step = follower.points[-1][0]
        self.facts |= {
            "steps": step,
            "tokens": budget.tokens_of(self.spec, recipe, step, tokens=tokens),
            "curve": tuple(follower.points),
        }
        raise TrialEnded(TrialStatus.STOPPED, follower.verdict)

    def _check_steps(self, reply: TrainReply, recipe: Recipe) -> None:
        """End the trial of a training that says it took other steps than paid for.

        A process that trains longer and says otherwise is bounded by the time limit alone.
        """
        paid = budget.step_count(self.spec, recipe, tokens=self.tokens)
        if reply.steps > paid or (reply.status == "done" and reply.steps != paid):
            raise TrialEnded(
                TrialStatus.CRASHED,
                f"the training took {reply.steps} steps, the rung's budget pays for {paid}: the loop is not the "
                "candidate's to change",
            )

    def _check_scoring(self, result: JobResult) -> None:
        if result.cause is not ExitCause.OK:
            raise TrialEnded(_status(result), f"{job_failure(result)} (while scoring)")
        reply = parse_reply(result.reply, WorkReply)
        if reply is None:
            raise TrialEnded(TrialStatus.CRASHED, f"{_NO_REPLY} (while scoring)")
        if reply.status != "done":
            reason = claimed_failure(reply, self.candidate.source) + self._allowed(reply.status)
            raise TrialEnded(CLAIMED_STATUS[reply.status], f"{reason} (while scoring)")
        self._stop_on_request()

    def _allowed(self, status: str) -> str:
        limits = self.bench.limits
        allowed = {
            "out of memory": f"{limits.memory_bytes >> 20} MiB",
            "too many threads": f"{limits.threads} threads",
            "too many files": f"{OPEN_FILES} open files",
        }
        return f"; at most {allowed[status]} are allowed" if status in allowed else ""

    def _stop_on_request(self) -> None:
        if self.cancel is not None and self.cancel.is_set():
            raise TrialEnded(TrialStatus.INTERRUPTED, "stopped on request")

    def _check_weights(self) -> None:
        try:
            report = scoring.read_weights(self.weights, self.spec)
            self.decoder = read_decoder(self.weights, self.spec) if self.spec.answers == "code" else None
        except scoring.BadWeights as error:
            raise TrialEnded(TrialStatus.BAD_WEIGHTS, str(error)) from None
        self.facts["parameters"] = report.parameters

    def _job_logs(self) -> tuple[JobLog, ...]:
        scored = [scoring_log("twins" if place else "rows", result) for place, result in sorted(self.scorings.items())]
        measured = [claiming_log(purpose, result) for purpose, result in self.calibrations]
        return (*measured, *([claiming_log("train", self.training)] if self.training else []), *scored)

    def _usage(self) -> Usage:
        if self.training is None:
            return Usage(tier=str(self.calibrations[-1][1].tier)) if self.calibrations else Usage()
        jobs = [self.training, *self.scorings.values()]
        earlier = self.checkpoints.kept.wall_seconds if self.checkpoints else 0.0
        return Usage(
            wall_seconds=earlier + self.training.wall_seconds + self.scoring_seconds,
            cpu_seconds=sum(job.cpu_seconds for job in jobs),
            peak_memory_bytes=max(job.peak_memory_bytes for job in jobs),
            start_seconds=self.training.start_seconds,
            scoring_seconds=self.scoring_seconds,
            warm=self.training.warm,
            tier=str(self.training.tier),
        )


def _status(result: JobResult) -> TrialStatus:
    if result.cause is ExitCause.STAGE_TIMEOUT and result.stages:
        return STAGE_TIMEOUTS.get(result.stages[-1][0], TrialStatus.TIMEOUT)
    return _STATUS[result.cause]


def recipe_in(candidate: Candidate, spec: TaskSpec, rate: float = 1.0) -> Recipe:
    """Return how the candidate is trained, at `rate` times its learning rate. Raises: TrialEnded where that is none."""
    try:
        return scaled(recipe_of(candidate.source, spec.recipe), rate)
    except ValueError as error:
        raise TrialEnded(TrialStatus.CRASHED, str(error)) from None


def reply_of(result: JobResult, kind: type[AnyReply], doing: str) -> AnyReply:
    """Return the reply of a process that was `doing` something. Raises: TrialEnded where there is none."""
    if result.cause is not ExitCause.OK:
        raise TrialEnded(_status(result), f"{why(result)} (while {doing})", result.last_output)
    reply = parse_reply(result.reply, kind)
    if reply is None:
        raise TrialEnded(TrialStatus.CRASHED, f"{_NO_REPLY} (while {doing})", result.last_output)
    return reply


def dump(record: TaskSpec | Recipe) -> JsonDict:
    """Return a record as it travels in a payload."""
    return record.model_dump(mode="json")


def why(result: JobResult) -> str:
    """Return the sentence for a job that did not end well."""
    if result.cause is ExitCause.ERROR and result.reply:
        return f"{result.reply.get('error', 'error')}: {result.reply.get('message', '')}"[:2000]
    return result.reason
