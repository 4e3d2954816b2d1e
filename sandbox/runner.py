"""`Sandbox`: run one function call in a process of its own, watch it, and report what came of it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from netwright.errors import SandboxError
from netwright.sandbox import wire
from netwright.sandbox.container import Container
from netwright.sandbox.cores import Cores
from netwright.sandbox.isolation import IsolationReport, Tier, demand
from netwright.sandbox.job import PAYLOAD_BYTES, ExitCause, Job, JobResult, Limits, SharedInput, SharedOutput
from netwright.sandbox.pool import Pool
from netwright.sandbox.spare import Child, ZygoteConfig
from netwright.sandbox.watch import ChildLost, Ending, Watch, held_too_much

if TYPE_CHECKING:
    from netwright.types import JsonDict

__all__ = ["ExitCause", "Job", "JobResult", "Limits", "Sandbox", "SharedInput", "SharedOutput"]

_log = logging.getLogger(__name__)

REAP_SECONDS = 30.0


class _Descriptors:
    """The memfds of one job on the trusted side."""

    def __init__(self, job: Job) -> None:
        self._own = contextlib.ExitStack()
        self.inputs = {name: self._input(value) for name, value in job.inputs.items()}
        self.outputs = {name: self._output(value) for name, value in job.outputs.items()}
        self._own_sizes = {name: value for name, value in job.outputs.items() if isinstance(value, int)}

    def _input(self, value: bytes | SharedInput) -> int:
        return value.descriptor if isinstance(value, SharedInput) else self._keep(wire.sealed_input(value))

    def _output(self, value: int | SharedOutput) -> int:
        return value.descriptor if isinstance(value, SharedOutput) else self._keep(wire.sealed_output(value))

    def _keep(self, descriptor: int) -> int:
        self._own.callback(os.close, descriptor)
        return descriptor

    @property
    def all(self) -> list[int]:
        return [*self.inputs.values(), *self.outputs.values()]

    def copies(self) -> dict[str, memoryview]:
        return {name: wire.copy_out(self.outputs[name], size) for name, size in self._own_sizes.items()}

    def close(self) -> None:
        self._own.close()


def _order(job: Job) -> JsonDict:
    sizes = [[n, v.size if isinstance(v, SharedInput) else len(v)] for n, v in job.inputs.items()]
    return {
        "entry": job.entry,
        "payload": job.payload,
        "inputs": sizes,
        "outputs": [[n, v.size if isinstance(v, SharedOutput) else v] for n, v in job.outputs.items()],
        "wall_seconds": job.limits.wall_seconds,
        "threads": job.limits.threads,
        "memory_bytes": job.limits.memory_bytes,
    }


class Sandbox:
    """Runs jobs in single-use children of a warm zygote, at most `slots` at a time, each on one core. Thread-safe.

    `spares` processes wait ready for work: one more than slots unless said, none for who runs a single job.
    `entries` name the functions that jobs may call, `warm_zygote` one that runs once in the zygote and
    `warm_child` one that runs in each spare after isolation. With `isolation=None` it is the best tier that can be
    had, and nothing less than T2 will do; a tier that is named is used as it is. `device` is "cpu", or "cuda", of whose
    devices children see number `gpu` alone. `python_path` lists more folders to import from, which children may read.
    With `container` all of it runs in a container, where these folders are seen too. Use it as a context manager.
    """

    def __init__(
        self,
        *,
        slots: int,
        spares: int | None = None,
        entries: Sequence[str],
        warm_zygote: str | None = None,
        warm_child: str | None = None,
        isolation: Tier | None = None,
        device: str = "cpu",
        gpu: int = 0,
        python_path: Sequence[str] = (),
        container: Container | None = None,
    ) -> None:
        self._entries = frozenset(entries)
        self._wanted = isolation
        self._cores = Cores()
        config = ZygoteConfig(
            entries=tuple(entries),
            warm_zygote=warm_zygote,
            warm_child=warm_child,
            isolation=isolation,
            device=device,
            gpu=gpu,
            python_path=tuple(python_path),
        )
        self._pool = Pool(config, slots + 1 if spares is None else spares, container)
        self._attempts = slots + 3  # all spares may have died at once
        self._slots = threading.Semaphore(slots)
        self._report: IsolationReport | None = None
        self._shared: list[int] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Launch the zygote; returns when isolation is known (about 0.2 s) while imports go on.

        Raises IsolationError if the tier cannot be had, SandboxError if the zygote cannot be started.
        """
        try:
            self._report = self._pool.start()
        except SandboxError:
            self.close()
            raise

    @property
    def isolation(self) -> IsolationReport:
        """What this machine can enforce. Raises SandboxError before `start`."""
        if self._report is None:
            raise SandboxError("the sandbox is not started: call start() or use it as a context manager")
        return self._report

    @property
    def tier(self) -> Tier:
        """What jobs are confined by. Raises SandboxError before `start`."""
        return demand(self.isolation, self._wanted)

    @property
    def zygote_pid(self) -> int:
        return self._pool.zygote_pid

    def wait_until_warm(self, timeout_seconds: float = 120.0) -> bool:
        """Wait until the imports are done and a spare is ready, e.g. before timing. Raises SandboxError."""
        return self._pool.wait_until_warm(timeout_seconds)

    def share(self, data: bytes) -> SharedInput:
        """Put `data` into sealed memory once, for any number of jobs."""
        shared = SharedInput(wire.sealed_input(data), len(data))
        self._shared.append(shared.descriptor)
        return shared

    def run(
        self,
        job: Job,
        *,
        on_event: Callable[[JsonDict], str | None] | None = None,
        cancel: threading.Event | None = None,
    ) -> JobResult:
        """Run `job` in a fresh process and block until it has ended and is reaped.

        `on_event` hears the job's events; a sentence that it returns ends the job as cancelled, for that reason.
        A job whose process the zygote took along when it died runs again, its events too. Whatever the job
        does is in the result. Raises SandboxError if the sandbox itself fails.
        """
        self._validate(job)
        if self._pool.closing:
            raise SandboxError("the sandbox is closed: start another")
        while not self._slots.acquire(timeout=0.05):
            if self._is_stopped(cancel):
                return self._never_started()
        try:
            for _ in range(self._attempts):
                try:
                    return self._attempt(job, on_event, cancel)
                except (ChildLost, SandboxError) as error:
                    if not isinstance(error, ChildLost) and not self._pool.closing:
                        raise
                    if self._is_stopped(cancel):
                        return self._never_started()
                    _log.warning("job starts again entry=%s reason=%s", job.entry, error)
                    reason = str(error)
            raise SandboxError(f"gave up on {job.entry} after {self._attempts} lost processes; the last one: {reason}")
        finally:
            self._slots.release()

    def close(self) -> None:
        """Kill all that runs and free everything; running jobs end as cancelled."""
        self._pool.close()
        while self._shared:
            os.close(self._shared.pop())

    def _validate(self, job: Job) -> None:
        if job.entry not in self._entries:
            raise SandboxError(f"unknown entry {job.entry!r}; this sandbox has {', '.join(sorted(self._entries))}")
        if (size := len(json.dumps(job.payload))) > PAYLOAD_BYTES:
            raise SandboxError(f"a payload of {size} bytes, at most {PAYLOAD_BYTES}: hand it over as an input")

    def _is_stopped(self, cancel: threading.Event | None) -> bool:
        return self._pool.closing or (cancel is not None and cancel.is_set())

    def _attempt(
        self, job: Job, on_event: Callable[[JsonDict], str | None] | None, cancel: threading.Event | None
    ) -> JobResult:
        requested, order = time.monotonic(), _order(job)
        with contextlib.closing(_Descriptors(job)) as descriptors, self._cores.one() as core:
            child, warm = self._pool.take()
            watch = Watch(child, job.limits, core, on_event, lambda: self._is_stopped(cancel), self._pool.refill)
            try:
                ending = watch.follow(order, descriptors.all)
                if not watch.handed_over:
                    return self._never_started()
                ended = time.monotonic()
                seconds_to_kill = self._kill(child)
                watch.drain_output()
            finally:
                if watch.handed_over:
                    child.kill()
                    child.close()
                else:
                    self._pool.give_back(child)
            if ending.cause is ExitCause.OK and child.exit.peak_memory_bytes > job.limits.memory_bytes:
                # Between two looks, or where it could not be seen: the kernel remembers.
                ending = Ending(ExitCause.OUT_OF_MEMORY, held_too_much(child.exit.peak_memory_bytes, job.limits))
            outputs: Mapping[str, memoryview] = descriptors.copies() if ending.cause is ExitCause.OK else {}
        started = watch.started or ended
        return JobResult(
            cause=ending.cause,
            reply=ending.reply,
            outputs=outputs,
            reason=ending.reason,
            last_output=watch.tail.decode(errors="replace"),
            wall_seconds=ended - started,
            cpu_seconds=max(0.0, child.exit.cpu_seconds - watch.cpu_seconds_at_start),
            peak_memory_bytes=max(child.exit.peak_memory_bytes, watch.peak_memory_bytes),
            start_seconds=started - requested,
            warm=warm,
            tier=watch.confinement.tier,
            seconds_to_kill=seconds_to_kill,
            isolation_seconds=watch.confinement.seconds,
            layers=watch.confinement.layers,
            policy=watch.confinement.policy,
            stages=watch.stage_seconds(ended),
            exit_code=child.exit.code if ending.cause is ExitCause.CRASHED else None,
            bytes_in=watch.bytes_in + sum(size for _, size in order["inputs"]),
            bytes_out=watch.bytes_out + sum(map(len, outputs.values())),
            left_behind=child.exit.left_behind,
        )

    def _kill(self, child: Child) -> float:
        begun = time.monotonic()
        child.kill()
        if not child.exited.wait(REAP_SECONDS):
            raise SandboxError(f"process {child.pid} was not reaped within {REAP_SECONDS:.0f} s of SIGKILL")
        return time.monotonic() - begun

    def _never_started(self) -> JobResult:
        return JobResult(
            cause=ExitCause.CANCELLED,
            reply=None,
            outputs={},
            reason="stopped on request before it began",
            last_output="",
            wall_seconds=0.0,
            cpu_seconds=0.0,
            peak_memory_bytes=0,
            start_seconds=0.0,
            warm=False,
            tier="",
            seconds_to_kill=None,
        )
