"""Have a fresh process measure a candidate, and make a record of what it says and of what was seen from outside."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from netwright.evaluator.devices import AUTO_COMPILE_STEPS, Execution, backends
from netwright.evaluator.limits import LaboratoryLimits
from netwright.evaluator.replies import CompileReply, MeasureReply, parse_reply
from netwright.evaluator.trial import dump, why
from netwright.measures import Measures
from netwright.sandbox.job import ExitCause, Job, JobResult
from netwright.types import Candidate, JsonDict, TaskSpec

MEASURE_ENTRY = "netwright.evaluator.worker:measure_candidate"
COMPILE_ENTRY = "netwright.evaluator.worker:compile_candidate"


def measurement(
    candidate: Candidate,
    spec: TaskSpec,
    execution: Execution,
    limits: LaboratoryLimits,
    run: Callable[[Job], JobResult],
    *,
    compilers: bool = False,
) -> Measures:
    """Measure the candidate for `spec`; `run` calls the sandbox. Its faults end up among the problems.

    `compilers` says whether confinement lets processes start other programs, as compilers do.
    """
    payload = {"source": candidate.source, "spec": dump(spec)}
    result = run(Job(entry=MEASURE_ENTRY, payload=payload, limits=limits.measure()))
    reply = parse_reply(result.reply, MeasureReply) if result.cause is ExitCause.OK else None
    if reply is None:
        problems: tuple[str, ...] = (why(result) or "the process answered with something that is no reply",)
    else:
        problems = reply.problems if reply.status == "done" else (reply.reason,)
    inference = reply.inference if reply else ()
    if inference and execution.compiles(AUTO_COMPILE_STEPS):
        seconds, backend, problem = _compiling(payload, execution, limits, run, compilers=compilers)
        found = {"compile_seconds": seconds, "backend": backend}
        inference = (inference[0].model_copy(update=found), *inference[1:])
        problems = (*problems, *([f"torch.compile: {problem}"] if problem else []))
    return Measures(
        candidate_id=candidate.id,
        task_id=spec.id,
        machine=machine_name(execution.name),
        tier=str(result.tier),
        batch_rows=spec.recipe.batch_size,
        inference=inference,
        states=reply.states if reply else (),
        problems=problems,
        wall_seconds=result.wall_seconds,
        peak_memory_bytes=result.peak_memory_bytes,
    )


def _compiling(
    payload: JsonDict,
    execution: Execution,
    limits: LaboratoryLimits,
    run: Callable[[Job], JobResult],
    *,
    compilers: bool,
) -> tuple[float | None, str | None, str]:
    """Return the seconds and the backend of compiling a step of training, or why there are none.

    In a process of its own: one that never ends takes nothing else with it.
    """
    tried = list(backends(execution, starts_compilers=compilers))
    if not tried:
        return None, None, "a confined process can start no compiler (see docs/training.md)"
    with TemporaryDirectory(prefix="netwright-", ignore_cleanup_errors=True) as scratch:
        payload = payload | {"backends": tried, "scratch": scratch}
        result = run(Job(entry=COMPILE_ENTRY, payload=payload, limits=limits.graph(execution.compile_seconds)))
    reply = parse_reply(result.reply, CompileReply) if result.cause is ExitCause.OK else None
    if reply is None or reply.executed is None:
        return None, None, (reply.reason if reply else why(result)) or "its process answered with no reply"
    told = reply.executed
    return told.compile_seconds, told.backend, told.not_compiled or ""


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
