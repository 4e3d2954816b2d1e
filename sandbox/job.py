"""What the trusted side asks of a sandboxed process, and what it learns of the end of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from netwright.sandbox import wire

if TYPE_CHECKING:
    from netwright.types import JsonDict

PAYLOAD_BYTES = 1 << 20


class ExitCause(StrEnum):
    """How a job ended. Only `OK` carries outputs; `ERROR` means that the entry raised."""

    OK = "ok"
    ERROR = "error"
    STAGE_TIMEOUT = "stage timeout"
    TIMEOUT = "timeout"
    TOO_MUCH_CPU = "too much CPU time"
    OUT_OF_MEMORY = "out of memory"
    TOO_MUCH_OUTPUT = "too much output"
    TOO_MANY_THREADS = "too many threads"
    TOO_MANY_FILES = "too many files"
    CRASHED = "crashed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a job may use, enforced from outside; passing any of them ends it.

    `wall_seconds` count from the moment the child has the job. `stage_seconds` names the job's stages in their order
    and bounds each: a stage begins when the job says so, or at once for the first. A job that lies about its stages
    is still bounded by `wall_seconds`. `memory_bytes` is resident memory, including
    what is shared with the zygote (250 to 300 MB with torch). `output_bytes` is stdout and stderr together,
    `reply_bytes` one frame, `event_bytes` all events together.
    """

    wall_seconds: float = 60.0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    memory_bytes: int = 3 << 30
    threads: int = 16
    output_bytes: int = 64 << 10
    reply_bytes: int = 64 << 10
    event_count: int = 10_000
    event_bytes: int = 1 << 20


@dataclass(frozen=True)
class SharedInput:
    """Bytes in a sealed memfd, made by `Sandbox.share` and valid until the sandbox closes."""

    descriptor: int
    size: int


class SharedOutput:
    """Memory of `size` bytes that a job may write, and its owner may read while the job runs, until it is closed.

    What is read is a copy. Nothing keeps the job from writing meanwhile.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = wire.sealed_output(size)

    def read(self, size: int) -> memoryview:
        """Copy the first `size` bytes, or all if there are less."""
        return wire.copy_out(self.descriptor, min(size, self.size))

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One call of `entry` ("package.module:function", one of the sandbox's entries) in a process of its own.

    `payload` is JSON of at most `PAYLOAD_BYTES`. `inputs` reach the child read-only. `outputs` maps names to
    sizes in bytes: memory that the child may write but not resize, copied back only if the job ends well; or to
    SharedOutput, which is not copied back.
    """

    entry: str
    payload: JsonDict = field(default_factory=dict)
    inputs: Mapping[str, bytes | SharedInput] = field(default_factory=dict)
    outputs: Mapping[str, int | SharedOutput] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class JobResult:
    """What came of a job, measured from outside except for `reply` and `last_output`, its own claims.

    `reply` is what the entry returned, or `{"error", "message", "traceback"}` where it raised. `reason` is a
    sentence with numbers ("" if OK). `last_output` is the tail of stdout and stderr. `start_seconds` runs
    from the request to the child having the job; waiting for a free slot is not in it. `cpu_seconds` counts
    from the same moment. `warm` says whether a finished spare was waiting. `seconds_to_kill` is from SIGKILL
    to the process being reaped. `isolation_seconds` is what its confinement took, before the job came. `layers` are
    the (name, detail) pairs of that confinement, and `policy` is the hash of its rules. `stages` are (name, seconds)
    of the stages that were reached, by the trusted side's clock; `exit_code` is minus the signal for a process that
    was killed. `bytes_in` and `bytes_out` count payload, inputs, frames, output and results. `left_behind` counts
    processes that the job had started and that were killed after it.
    """

    cause: ExitCause
    reply: JsonDict | None
    outputs: Mapping[str, memoryview]
    reason: str
    last_output: str
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    start_seconds: float
    warm: bool
    tier: str
    seconds_to_kill: float | None
    isolation_seconds: float = 0.0
    layers: tuple[tuple[str, str], ...] = ()
    policy: str = ""
    stages: tuple[tuple[str, float], ...] = ()
    exit_code: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    left_behind: int = 0
