"""What is kept of each sandboxed process of a trial, as the trusted side saw it."""

from __future__ import annotations

from netwright.evaluator.scoring_failure import job_failure
from netwright.sandbox.job import ExitCause, JobResult
from netwright.types import JobLog

REASON_CHARACTERS_MAX = 500


def claiming_log(purpose: str, result: JobResult) -> JobLog:
    """Return the log of a process that saw no held-out row: it trained, or found out what a token takes."""
    return _log(purpose, result, result.reason[:REASON_CHARACTERS_MAX])


def scoring_log(purpose: str, result: JobResult) -> JobLog:
    """Return the log of a process that saw held-out rows: no word in it is the candidate's."""
    return _log(purpose, result, "" if result.cause is ExitCause.OK else job_failure(result))


def _log(purpose: str, result: JobResult, reason: str) -> JobLog:
    return JobLog(
        purpose=purpose,
        cause=result.cause.value,
        reason=reason,
        exit_code=result.exit_code,
        tier=str(result.tier),
        layers=result.layers,
        policy=result.policy,
        warm=result.warm,
        start_seconds=result.start_seconds,
        wall_seconds=result.wall_seconds,
        cpu_seconds=result.cpu_seconds,
        kill_seconds=result.seconds_to_kill,
        peak_memory_bytes=result.peak_memory_bytes,
        stages=result.stages,
        bytes_in=result.bytes_in,
        bytes_out=result.bytes_out,
        left_behind=result.left_behind,
    )
