"""The first code in a sandboxed process: give up everything, wait for the job, run the entry named, reply."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import mmap
import os
import resource
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, FrozenImporter
from typing import TYPE_CHECKING, NoReturn

from netwright.errors import IsolationError
from netwright.sandbox import kernel, wire
from netwright.sandbox.isolation import RECIPES, Tier, isolate, opens_files
from netwright.sandbox.layers import lower

if TYPE_CHECKING:
    from netwright.types import JsonDict

    Entry = Callable[["ChildJob"], JsonDict]

TRACEBACK_CHARACTERS = 4000
ADDRESS_SPACE_BYTES = 5 << 30
LONGEST_SECONDS = 1e9
SPARE_THREADS = 8
"""Beyond the limit on threads, so that the trusted side sees that it was passed before the kernel refuses more."""
_JOB_FD = 3


@dataclass(frozen=True)
class Setup:
    """What every child of one zygote has in common."""

    zygote_pid: int
    tier: Tier
    policy: str
    device: str
    libraries: Sequence[str]
    entries: Mapping[str, Entry]
    warm: Callable[[], object] | None


class ChildJob:
    """What an entry sees: `payload`, `inputs` (read-only memory), `outputs` (writable memory), `emit`."""

    def __init__(
        self,
        channel: wire.Channel,
        payload: JsonDict,
        inputs: Mapping[str, memoryview],
        outputs: Mapping[str, memoryview],
    ) -> None:
        self.payload = payload
        self.inputs = inputs
        self.outputs = outputs
        self._channel = channel
        self._lock = threading.Lock()

    def emit(self, event: JsonDict) -> None:
        """Send one event to the trusted side while the job runs."""
        self._send({"kind": "event", "event": event})

    def stage(self, name: str) -> None:
        """Say that the next stage of the job begins, for limits of its own (`Limits.stage_seconds`)."""
        self._send({"kind": "stage", "stage": name})

    def _send(self, message: JsonDict) -> None:
        with self._lock:
            wire.send_frame(self._channel.sock, message)


def _leave_the_family(setup: Setup) -> None:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != setup.zygote_pid:
        os._exit(1)
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _keep_only(job_fd: int, output_fd: int) -> wire.Channel:
    """Leave descriptors 0 (/dev/null), 1 and 2 (the output pipe) and the job's socket; close all others."""
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (output_fd, 1), (output_fd, 2), (job_fd, _JOB_FD)):
        os.dup2(source, target)
    os.closerange(_JOB_FD + 1, 1 << 20)
    return wire.Channel(socket.socket(fileno=_JOB_FD))


def _map(descriptor: int, size: int, *, writable: bool) -> memoryview:
    if size == 0:
        return memoryview(b"")
    if writable:
        return memoryview(mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED))
    return memoryview(mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))


def _accept(channel: wire.Channel, order: JsonDict, descriptors: list[int]) -> ChildJob:
    taken = iter(descriptors)
    inputs = {name: _map(next(taken), size, writable=False) for name, size in order["inputs"]}
    outputs = {name: _map(next(taken), size, writable=True) for name, size in order["outputs"]}
    for descriptor in descriptors:
        os.close(descriptor)
    return ChildJob(channel, order["payload"], inputs, outputs)


def _bound(order: JsonDict, setup: Setup) -> None:
    """Backstops within the kernel; the trusted side watches and kills long before them.

    Processes are counted per user, so a limit on them means something only to a user of one's own.
    """
    seconds = int(min(order["wall_seconds"] * order["threads"] + 5, LONGEST_SECONDS))
    most_seconds = lower(resource.RLIMIT_CPU, seconds + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (most_seconds - 1, most_seconds))  # a signal that has a name comes first
    if setup.device == "cpu":
        lower(resource.RLIMIT_AS, order["memory_bytes"] + ADDRESS_SPACE_BYTES)
    if RECIPES[setup.tier].own_user:
        lower(resource.RLIMIT_NPROC, order["threads"] + SPARE_THREADS)


def _failure(error: BaseException) -> JsonDict:
    text = "".join(traceback.format_exception(error))
    return {
        "error": type(error).__name__,
        "message": str(error)[-TRACEBACK_CHARACTERS:],
        "traceback": text[-TRACEBACK_CHARACTERS:],
    }


def _perform(entry: Entry, job: ChildJob) -> JsonDict:
    try:
        reply = entry(job)
        if not isinstance(reply, dict):
            raise TypeError(f"expected the entry to return a dict, got {type(reply).__name__}")
        return {"kind": "reply", "reply": reply}
    except BaseException as error:  # noqa: BLE001 - the border of the child: SystemExit of a candidate ends here too
        return {"kind": "error", **_failure(error)}


def _stop_looking_for_modules() -> None:
    """Let an import of what is not there fail as such, where it would fail with a file that cannot be opened."""
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter]


def _serve(channel: wire.Channel, setup: Setup) -> None:
    begun = time.perf_counter()
    layers = isolate(setup.tier, setup.libraries, setup.device)
    seconds = time.perf_counter() - begun
    if setup.tier is not Tier.T0 and not opens_files(setup.tier, setup.device):
        _stop_looking_for_modules()
    if setup.warm:
        setup.warm()
    ready = {"tier": setup.tier, "policy": setup.policy, "layers": layers, "isolation_seconds": seconds}
    wire.send_frame(channel.sock, {"kind": "ready", **ready})
    received = channel.receive()
    if received is None:
        return
    order, descriptors = received
    _bound(order, setup)
    job = _accept(channel, order, descriptors)
    job._send({"kind": "started", "at": time.monotonic(), "cpu_seconds": time.process_time()})
    answer = _perform(setup.entries[order["entry"]], job)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    job._send(answer)


def main(job_fd: int, output_fd: int, setup: Setup) -> NoReturn:
    """Be a child for one job, then exit; called in the fresh fork."""
    try:
        _leave_the_family(setup)
        channel = _keep_only(job_fd, output_fd)
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        faulthandler.enable(file=2)
        gc.enable()
        try:
            _serve(channel, setup)
        except BaseException as error:  # noqa: BLE001 - nothing may run on after a failed setup; it is named instead
            kind = "isolation" if isinstance(error, IsolationError) else "setup"
            wire.send_frame(channel.sock, {"kind": "fatal", "layer": kind, **_failure(error)})
    finally:
        os._exit(0)
