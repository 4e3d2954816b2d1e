"""How much a candidate trains where budgets are equal in FLOPs or in time: measured, remembered, held against it.

    not known yet:  one child: the reference ─▶ cost      one child: the candidate ─▶ cost      ─▶ share, kept
    trained:        CPU seconds of the training, seen from outside ─▶ did its tokens take what was claimed?

Who is measured does the measuring. To claim to be slow costs a candidate tokens, and it has to burn the time that it
claims. To claim to be fast, or cheap by being cheap while it is counted, gains tokens whose training then takes longer
than they may.

Not covered, under equal FLOPs: operations that a candidate hides from the counter in its process, while it burns the
time of those operations in the steps that are timed.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from netwright.evaluator import budget
from netwright.evaluator.baselines import reference_for
from netwright.evaluator.limits import LaboratoryLimits
from netwright.evaluator.protocol import TIMED_STEPS, WARM_UP_STEPS, Cost, factor, seconds_max
from netwright.evaluator.replies import CostReply
from netwright.evaluator.trial import CLAIMED_STATUS, TrialEnded, dump, recipe_in, reply_of
from netwright.sandbox.job import Job, JobResult, SharedInput
from netwright.types import Candidate, Share, TaskSpec, TrialStatus

CALIBRATE_ENTRY = "netwright.evaluator.worker:calibrate_candidate"
SEED = 0

Run = Callable[[Job, str], JobResult]
"""Calls the sandbox; the second argument is the purpose for which the process is remembered."""


class ShareStore(Protocol):
    """Where shares are looked up before anything is measured; the first that is put stays."""

    def share(self, candidate_id: str, task_id: str, *, tier: str) -> Share | None: ...

    def put_share(self, share: Share) -> Share:
        """Keep a share; return the one that counts."""
        ...


class KnownShares:
    """Shares for as long as a process lives."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Share] = {}

    def share(self, candidate_id: str, task_id: str, *, tier: str) -> Share | None:
        return self._known.get((candidate_id, task_id))

    def put_share(self, share: Share) -> Share:
        return self._known.setdefault((share.candidate_id, share.task_id), share)


@dataclass
class Calibration:
    """Shares of one task's candidates. Thread-safe; its calls raise TrialEnded where a measurement fails.

    `data` returns the training data as a job's input.
    """

    spec: TaskSpec
    limits: LaboratoryLimits
    tier: str
    data: Callable[[], Mapping[str, SharedInput]]
    store: ShareStore
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _measuring: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _reference: Cost | None = None

    def share(self, candidate: Candidate, run: Run) -> Share:
        """Return what the candidate trains on, as it is known or as it is measured now.

        The reference is measured right before the candidate: what else the machine does then slows both. Its own share
        is one by definition.
        """
        if candidate.id == reference_for(self.spec)[0].id:
            return Share(candidate_id=candidate.id, task_id=self.spec.id, factor=1.0, seconds=1.0, tier=self.tier)
        with self._lock:
            alone = self._measuring[candidate.id]
        with alone:
            known = self.store.share(candidate.id, self.spec.id, tier=self.tier)
            if known is not None:
                return known
            reference = self._weigh_reference(run)
            own = self._cost(candidate, self.spec, lambda job: run(job, "calibration"), "calibrating")
            return self.store.put_share(self._share(candidate, own, reference))

    def hold_against(self, share: Share, training: JobResult, rung: int, run: Run) -> None:
        """End the trial of a training that took longer than its tokens may by what was measured.

        Where it seems so, the reference is measured once more: the machine may have more to do than it had then.
        """
        spent = self._spent(training)
        reference = self._reference or self._weigh_reference(run)
        if spent <= seconds_max(share, self.spec, rung, reference.seconds):
            return
        slower = max(reference.seconds, self._weigh_reference(run).seconds)
        allowed = seconds_max(share, self.spec, rung, slower)
        if spent > allowed:
            raise TrialEnded(
                TrialStatus.TOO_MUCH_CPU,
                f"the training took {spent:.1f} s, at most {allowed:.1f} s are allowed for what it is paid: a token "
                f"was measured to take {share.seconds:.2f} times what it takes of the reference, and a training has to "
                "keep to that",
            )

    def _share(self, candidate: Candidate, own: Cost, reference: Cost) -> Share:
        return Share(
            candidate_id=candidate.id,
            task_id=self.spec.id,
            factor=factor(self.spec.protocol, own, reference),
            seconds=own.seconds / reference.seconds,
            operations=own.operations / reference.operations if own.operations and reference.operations else None,
            tier=self.tier,
        )

    def _weigh_reference(self, run: Run) -> Cost:
        candidate, spec = reference_for(self.spec)
        doing = f"calibrating with the reference, {candidate.title}"
        cost = self._cost(candidate, spec, lambda job: run(job, "reference"), doing)
        with self._lock:
            self._reference = cost
        return cost

    def _cost(self, candidate: Candidate, spec: TaskSpec, ask: Callable[[Job], JobResult], doing: str) -> Cost:
        recipe, tokens = recipe_in(candidate, spec), spec.rungs[0].tokens
        job = Job(
            entry=CALIBRATE_ENTRY,
            payload={
                "source": candidate.source,
                "spec": dump(spec),
                "recipe": dump(recipe),
                "tokens": tokens,
                "seed": SEED,
                "count": spec.protocol == "flops",
            },
            inputs=self.data(),
            limits=self.limits.calibrate(),
        )
        result = ask(job)
        reply = reply_of(result, CostReply, doing)
        if reply.status != "done":
            raise TrialEnded(CLAIMED_STATUS[reply.status], f"{reply.reason} (while {doing})", result.last_output)
        # Whatever it says, its steps have not taken longer than the whole process.
        steps = (WARM_UP_STEPS + TIMED_STEPS) * budget.batch_rows(spec, recipe, tokens=tokens) * spec.max_len
        seconds = min(reply.seconds_per_token, self._spent(result) / steps)
        return Cost(seconds=seconds, operations=reply.operations_per_token)

    def _spent(self, result: JobResult) -> float:
        """Return what a process took, seen from outside: CPU seconds, or on another device those of the clock."""
        return result.cpu_seconds if self.spec.device == "cpu" else result.wall_seconds
