"""Have a fresh process measure a candidate, and make a record of what it says and of what was seen from outside."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from netwright.evaluator.limits import LaboratoryLimits
from netwright.evaluator.replies import MeasureReply, parse_reply
from netwright.evaluator.trial import dump, why
from netwright.measures import Measures
from netwright.sandbox.job import ExitCause, Job, JobResult
from netwright.types import Candidate, TaskSpec

MEASURE_ENTRY = "netwright.evaluator.worker:measure_candidate"


def measurement(
    candidate: Candidate, spec: TaskSpec, name: str, limits: LaboratoryLimits, run: Callable[[Job], JobResult]
) -> Measures:
    """Measure the candidate for `spec`; `run` calls the sandbox. Its faults end up among the problems.

    `name` is that of the device.
    """
    payload = {"source": candidate.source, "spec": dump(spec)}
    result = run(Job(entry=MEASURE_ENTRY, payload=payload, limits=limits.measure()))
    reply = parse_reply(result.reply, MeasureReply) if result.cause is ExitCause.OK else None
    if reply is None:
        problems: tuple[str, ...] = (why(result) or "the process answered with something that is no reply",)
    else:
        problems = reply.problems if reply.status == "done" else (reply.reason,)
    return Measures(
        candidate_id=candidate.id,
        task_id=spec.id,
        machine=machine_name(name),
        tier=str(result.tier),
        batch_rows=spec.recipe.batch_size,
        inference=reply.inference if reply else (),
        states=reply.states if reply else (),
        problems=problems,
        wall_seconds=result.wall_seconds,
        peak_memory_bytes=result.peak_memory_bytes,
    )


@cache
def machine_name(device: str) -> str:
    """Return what figures compare on: processor, cores, device and torch, as `AMD EPYC, 2 cores, cpu, torch 2.13.0`."""
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}, {device}, torch {version('torch')}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
