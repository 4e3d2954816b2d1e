"""Laboratories with a memory behind them."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.evaluator.devices import ON_CPU, Execution
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.limits import AUDIT, AuditStrength, LaboratoryLimits
from netwright.evaluator.suite import AnyLaboratory, TrialKey, laboratory_for
from netwright.evaluator.tasks import AnyTask
from netwright.memory.store import Memory
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, SeedsAtOnce, Trial


@dataclass(frozen=True)
class TrialsInMemory:
    """The trials that the tasks of a suite have in a memory; they belong to no campaign, as any may use them."""

    memory: Memory

    def find(self, key: TrialKey, lab: Laboratory) -> Trial | None:
        return self.memory.trial(
            key.candidate_id,
            lab.spec.id,
            key.rung,
            key.seed,
            key.split,
            repeat=key.repeat,
            rate=key.rate,
            tier=lab.tier,
        )

    def keep(self, candidate: Candidate, lab: Laboratory, trial: Trial) -> None:
        self.memory.put_task(lab.spec)
        self.memory.put_candidate(candidate)
        self.memory.put_trial(None, trial)


def open_laboratory(
    sandbox: Sandbox,
    task: AnyTask,
    memory: Memory,
    *,
    limits: LaboratoryLimits,
    audit: AuditStrength = AUDIT,
    seeds_at_once: SeedsAtOnce = "auto",
    execution: Execution = ON_CPU,
) -> AnyLaboratory:
    """Return the laboratory of a task or a suite, with the memory's key and what the memory knows of single tasks.

    Long trainings are kept among the memory's artifacts until they are over.
    """
    return laboratory_for(
        sandbox,
        task,
        memory.evaluation_key,
        known=TrialsInMemory(memory),
        shares=memory,
        limits=limits,
        audit=audit,
        seeds_at_once=seeds_at_once,
        execution=execution,
        shelf=memory.artifacts,
    )
