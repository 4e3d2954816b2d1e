"""Watching one job from outside: its frames, its output, the clock, and /proc."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from netwright.errors import IsolationError, SandboxError
from netwright.sandbox import wire
from netwright.sandbox.cores import pin
from netwright.sandbox.job import ExitCause, Limits
from netwright.sandbox.layers import OPEN_FILES
from netwright.sandbox.spare import Child

if TYPE_CHECKING:
    from netwright.types import JsonDict

POLL_MILLISECONDS = 25
START_SECONDS = 180.0
REPORT_SECONDS = 10.0
SEND_SECONDS = 10.0
SETUP_FRAME_BYTES = 32 << 10
KEPT_OUTPUT_BYTES = 4096
_CHUNK_BYTES = 1 << 16
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TELLTALES = {
    ExitCause.OUT_OF_MEMORY: (
        *("MemoryError:", "OutOfMemoryError:", "can't allocate memory", "Cannot allocate memory"),
        "not enough memory",
    ),
    ExitCause.TOO_MANY_THREADS: ("can't start new thread", "Thread creation failed"),
    ExitCause.TOO_MANY_FILES: ("[Errno 24]", "Too many open files"),
}
"""What libraries say when the kernel refuses more: a limit was reached before the trusted side saw it."""


@dataclass(frozen=True)
class Confinement:
    """What a child did to itself before it heard of a job."""

    tier: str = ""
    policy: str = ""
    layers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


class ChildLost(Exception):
    """The process ended before it had the job, or the zygote took it along: no candidate is to blame."""


@dataclass(frozen=True)
class Ending:
    """Why watching stopped."""

    cause: ExitCause
    reason: str = ""
    reply: JsonDict | None = None


class Ended(Exception):
    """Leaves the watching loop from wherever the end was noticed."""

    def __init__(self, cause: ExitCause, reason: str = "", reply: JsonDict | None = None) -> None:
        super().__init__(reason)
        self.ending = Ending(cause, reason, reply)


@dataclass(frozen=True)
class UsageNow:
    """What a process holds at this moment; nothing if it is gone. A dead leader has outlived its main thread."""

    memory_bytes: int = 0
    threads: int = 0
    dead_leader: bool = False


def usage_now(pid: int) -> UsageNow:
    """Look at a process from outside. Raises SandboxError where this is forbidden.

    Source: proc(5), /proc/pid/stat, fields 3 (state), 20 (threads) and 24 (pages); the name in field 2 may hold
    anything but ends with `)`.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return UsageNow()
    except PermissionError as error:
        raise SandboxError(
            "the processes of the sandbox cannot be watched: /proc is mounted with hidepid; mount it without, or run "
            "netwright as a user who may see them"
        ) from error
    return UsageNow(int(fields[21]) * _PAGE_BYTES, int(fields[17]), fields[0] == b"Z")


def held_too_much(memory_bytes: int, limits: Limits) -> str:
    """Return the sentence for a job that passed its limit on memory."""
    return f"held {memory_bytes >> 20} MiB, at most {limits.memory_bytes >> 20} MiB are allowed"


class Watch:
    """Follows one child, on its `core`, from the sending of its job to its end.

    What `on_event` returns, if it is not empty, is the reason to end the job as cancelled. `on_start` is called once
    the child has its job. `stopped` is asked at every look.
    """

    def __init__(
        self,
        child: Child,
        limits: Limits,
        core: int,
        on_event: Callable[[JsonDict], str | None] | None,
        stopped: Callable[[], bool],
        on_start: Callable[[], None],
    ) -> None:
        self._child = child
        self._limits = limits
        self._core = core
        self._on_event = on_event
        self._stopped = stopped
        self._on_start = on_start
        self._reader = wire.FrameReader(max(limits.reply_bytes, SETUP_FRAME_BYTES))
        self._events = 0
        self._event_bytes = 0
        self._output_bytes = 0
        self._next_check = 0.0
        self._leader_was_dead = False
        self._requested = time.monotonic()
        self.handed_over = False
        self.started: float | None = None
        self.cpu_seconds_at_start = 0.0
        self.confinement = Confinement()
        self.peak_memory_bytes = 0
        self.tail = b""
        self.stages: list[tuple[str, float]] = []
        self.bytes_in = 0
        self.bytes_out = 0

    def stage_seconds(self, end: float) -> tuple[tuple[str, float], ...]:
        """Return how long each stage took that was reached, where the job ended at `end`."""
        bounds = [*self.stages, ("", end)]
        return tuple((name, max(0.0, until - begun)) for (name, begun), (_, until) in pairwise(bounds))

    def follow(self, order: JsonDict, descriptors: Sequence[int]) -> Ending:
        """Hand the job over and block until it ends. Raises ChildLost, IsolationError, SandboxError."""
        try:
            self._wait_for_fork()
            self._hand_over(order, descriptors)
            self._until_end()
        except Ended as end:
            return end.ending

    def _wait_for_fork(self) -> None:
        while not self._child.forked.wait(POLL_MILLISECONDS / 1000):
            self._check()
        if self._child.pidfd < 0:
            raise ChildLost(self._child.lost)

    def _hand_over(self, order: JsonDict, descriptors: Sequence[int]) -> None:
        self.handed_over = True
        pin(self._child.pid, self._core)
        self._child.sock.settimeout(SEND_SECONDS)
        try:
            self.bytes_in += wire.send_frame(self._child.sock, order, descriptors)
        except OSError as error:
            if not self._child.has_last_words:
                raise self._lost() from error
        finally:
            self._child.sock.settimeout(0)

    def _until_end(self) -> NoReturn:
        poll = select.poll()
        for descriptor in (self._child.sock, self._child.output_fd, self._child.pidfd):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(POLL_MILLISECONDS)}
            if self._child.output_fd in ready and not self._read_output():
                poll.unregister(self._child.output_fd)
            if self._child.sock.fileno() in ready and not self._read_frames():
                poll.unregister(self._child.sock)
            if self._child.pidfd in ready:
                self._read_last_frames()
                self._raise_death()
            self._check()

    def drain_output(self) -> None:
        """After the end: keep the tail of what is still in the pipe."""
        with contextlib.suppress(Ended):
            while self._read_output():
                pass

    def _read_output(self) -> bool:
        """Read what there is; False if there is nothing more now or ever."""
        try:
            text = os.read(self._child.output_fd, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        self.tail = (self.tail + text)[-KEPT_OUTPUT_BYTES:]
        self._output_bytes += len(text)
        self.bytes_out += len(text)
        if self._output_bytes > self._limits.output_bytes:
            raise Ended(
                ExitCause.TOO_MUCH_OUTPUT,
                f"wrote {self._output_bytes} bytes to stdout and stderr, "
                f"at most {self._limits.output_bytes} are allowed",
            )
        return bool(text)

    def _read_frames(self) -> bool:
        """Act on what there is; False if there is nothing more now or ever."""
        try:
            chunk = self._child.sock.recv(_CHUNK_BYTES)
            self.bytes_out += len(chunk)
            for body in self._reader.feed(chunk):
                self._hear(wire.decode(body), len(body))
        except (BlockingIOError, ConnectionResetError):
            return False
        except wire.FrameTooLarge as error:
            raise Ended(ExitCause.TOO_MUCH_OUTPUT, f"sent {error}") from None
        except wire.BrokenFrame as error:
            raise Ended(ExitCause.CRASHED, f"broke the protocol: {error}") from None
        return bool(chunk)

    def _read_last_frames(self) -> None:
        while self._read_frames():
            pass

    def _hear(self, frame: JsonDict, size: int) -> None:
        kind = frame.get("kind")
        if self.started is None:
            self._hear_setup(kind, frame)
        elif kind == "event" and isinstance(frame.get("event"), dict):
            self._count_event(size)
            if self._on_event and (enough := self._on_event(frame["event"])):
                raise Ended(ExitCause.CANCELLED, enough)
        elif kind == "stage":
            self._count_event(size)
            self._enter_stage(str(frame.get("stage")))
        elif kind == "reply" and isinstance(frame.get("reply"), dict):
            raise Ended(ExitCause.OK, reply=frame["reply"])
        elif kind == "error":
            raise _raised(frame, self._limits)
        else:
            raise Ended(ExitCause.CRASHED, f"broke the protocol: a frame of kind {str(kind)[:40]!r}")

    def _hear_setup(self, kind: object, frame: JsonDict) -> None:
        """Frames before any untrusted code runs in the child."""
        if kind == "ready":
            layers = tuple((str(name), str(detail)) for name, detail in frame["layers"])
            seconds = float(frame["isolation_seconds"])
            self.confinement = Confinement(str(frame["tier"]), str(frame["policy"]), layers, seconds)
        elif kind == "started":
            self.started = float(frame["at"])  # one monotonic clock for all processes
            self.cpu_seconds_at_start = float(frame["cpu_seconds"])
            self._reader.limit = self._limits.reply_bytes
            self.stages = [(name, self.started) for name in list(self._limits.stage_seconds)[:1]]
            self._on_start()
        elif kind == "fatal":
            error = IsolationError if frame["layer"] == "isolation" else SandboxError
            raise error(f"a sandboxed process could not be set up: {frame['error']}: {frame['traceback']}")

    def _enter_stage(self, name: str) -> None:
        """Begin a later stage. What is no stage, or over, is not believed: the present one goes on."""
        names = list(self._limits.stage_seconds)
        if self.stages and name in names[names.index(self.stages[-1][0]) + 1 :]:
            self.stages.append((name, time.monotonic()))

    def _check_stage(self, now: float) -> None:
        if not self.stages:
            return
        name, begun = self.stages[-1]
        most = self._limits.stage_seconds[name]
        if now - begun > most:
            raise Ended(ExitCause.STAGE_TIMEOUT, f"stage {name!r} still running after {most:g} s")

    def _count_event(self, size: int) -> None:
        self._events += 1
        self._event_bytes += size
        if self._events > self._limits.event_count or self._event_bytes > self._limits.event_bytes:
            raise Ended(
                ExitCause.TOO_MUCH_OUTPUT,
                f"sent {self._events} events of {self._event_bytes} bytes, "
                f"at most {self._limits.event_count} of {self._limits.event_bytes} bytes are allowed",
            )

    def _check(self) -> None:
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + POLL_MILLISECONDS / 1000
        if self._stopped():
            raise Ended(ExitCause.CANCELLED, "stopped on request")
        if self.started is None:
            if now - self._requested > START_SECONDS:
                raise SandboxError(f"a sandboxed process was not ready within {START_SECONDS:.0f} s")
            return
        limits = self._limits
        if now - self.started > limits.wall_seconds:
            raise Ended(ExitCause.TIMEOUT, f"still running after {limits.wall_seconds:g} s")
        self._check_stage(now)
        self._check_usage(usage_now(self._child.pid))

    def _check_usage(self, usage: UsageNow) -> None:
        limits = self._limits
        self.peak_memory_bytes = max(self.peak_memory_bytes, usage.memory_bytes)
        if usage.memory_bytes > limits.memory_bytes:
            raise Ended(ExitCause.OUT_OF_MEMORY, held_too_much(usage.memory_bytes, limits))
        if usage.threads > limits.threads:
            raise Ended(
                ExitCause.TOO_MANY_THREADS, f"ran {usage.threads} threads, at most {limits.threads} are allowed"
            )
        if usage.dead_leader and self._leader_was_dead:  # twice: a process that just ended looks the same
            raise Ended(ExitCause.CRASHED, "its main thread ended, which hides what the others hold")
        self._leader_was_dead = usage.dead_leader

    def _raise_death(self) -> NoReturn:
        self._child.exited.wait(REPORT_SECONDS)
        if self._child.lost and self._stopped():
            raise Ended(ExitCause.CANCELLED, "stopped on request")
        if self._child.lost or self.started is None:
            raise self._lost()
        raise _crashed(self._child.exit.code)

    def _lost(self) -> ChildLost:
        self._child.exited.wait(REPORT_SECONDS)
        code = self._child.exit.code
        return ChildLost(self._child.lost or f"a spare ended with code {code} before it had its job")


def _raised(frame: JsonDict, limits: Limits) -> Ended:
    reply = {name: str(frame.get(name, ""))[-4000:] for name in ("error", "message", "traceback")}
    sentence = f"raised {reply['error']}: {reply['message']}"[:500]
    said = f"{reply['error']}: {reply['message']}"
    causes = (cause for cause, phrases in _TELLTALES.items() if any(phrase in said for phrase in phrases))
    cause = next(causes, ExitCause.ERROR)
    allowed = {
        ExitCause.OUT_OF_MEMORY: f"; at most {limits.memory_bytes >> 20} MiB are allowed",
        ExitCause.TOO_MANY_THREADS: f"; at most {limits.threads} are allowed",
        ExitCause.TOO_MANY_FILES: f"; at most {OPEN_FILES} are allowed",
    }
    return Ended(cause, sentence + allowed.get(cause, ""), reply)


def _crashed(code: int | None) -> Ended:
    if code is None:
        return Ended(ExitCause.CRASHED, "ended in an unknown way")
    if code >= 0:
        return Ended(ExitCause.CRASHED, f"exited with status {code} without a reply")
    if -code == signal.SIGXCPU:
        return Ended(ExitCause.TOO_MUCH_CPU, "used up its CPU time on several threads")
    name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
    hint = " from outside, perhaps the kernel out of memory" if -code == signal.SIGKILL else ""
    return Ended(ExitCause.CRASHED, f"was killed by {name}{hint}")
