"""The trusted side's view of the zygote: one supervising thread, and the spares that wait for work."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import subprocess
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from netwright.errors import IsolationError, SandboxError
from netwright.sandbox import wire
from netwright.sandbox.container import Container
from netwright.sandbox.isolation import IsolationReport, demand, require_linux
from netwright.sandbox.launch import ZYGOTE_LOG_BYTES, Launched, launch, patience
from netwright.sandbox.spare import Child, Exit, ZygoteConfig, pid_of

if TYPE_CHECKING:
    from netwright.types import JsonDict

_log = logging.getLogger(__name__)

DEATHS_BEFORE_GIVING_UP = 3


class Pool:
    """Keeps a zygote alive and `size` spares waiting. Thread-safe."""

    def __init__(self, config: ZygoteConfig, size: int, container: Container | None = None) -> None:
        self._config = config
        self._container = container
        self._patience = patience(container)
        self._size = size
        self._changed = threading.Condition()
        self._spares: deque[Child] = deque()
        self._alive: dict[int, Child] = {}
        self._control: socket.socket | None = None
        self._zygote_pid = -1
        self._log_tail = b""
        self._next_id = 0
        self._warm = False
        self._failure: SandboxError | None = None
        self._report: IsolationReport | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._supervise, name="netwright-sandbox", daemon=True)

    def start(self) -> IsolationReport:
        """Launch; return when isolation is known; imports go on. Raises IsolationError, SandboxError."""
        require_linux()
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._report or self._failure or self._closing, self._patience)
            if self._report is None:
                self._raise_failure()
                if self._closing:
                    raise SandboxError("the sandbox was closed while it started")
                raise SandboxError(f"the zygote said nothing within {self._patience:.0f} s: {self.zygote_log}")
        demand(self._report, self._config.isolation)
        return self._report

    @property
    def closing(self) -> bool:
        return self._closing

    @property
    def zygote_pid(self) -> int:
        return self._zygote_pid

    @property
    def zygote_log(self) -> str:
        return self._log_tail.decode(errors="replace").strip()

    def take(self) -> tuple[Child, bool]:
        """Take a spare and say whether it is warm; the oldest or a new one if none is.

        Raises SandboxError.
        """
        with self._changed:
            self._bury_dead_spares()
            for child in self._spares:
                if child.ready:
                    self._spares.remove(child)
                    return child, True
            if self._spares:
                return self._spares.popleft(), False
        return self._request(), False

    def give_back(self, child: Child) -> None:
        """Return a spare that was taken but has heard nothing of a job."""
        with self._changed:
            if not self._closing:
                self._spares.append(child)
                return
        child.close()

    def refill(self) -> None:
        """Ask for as many new spares as are missing; does not wait for them."""
        with self._changed:
            self._bury_dead_spares()
            missing = 0 if self._closing else self._size - len(self._spares)
        for _ in range(missing):
            with self._changed:
                if self._closing:
                    return
                self._spares.append(self._request())

    def wait_until_warm(self, timeout_seconds: float) -> bool:
        """Wait until a finished spare is there. Raises SandboxError if there will be none."""
        until = time.monotonic() + timeout_seconds
        while time.monotonic() < until:
            with self._changed:
                self._raise_failure()
                if any(child.ready for child in self._spares):
                    return True
            time.sleep(0.005)
        return False

    def close(self) -> None:
        """End the zygote and with it every child."""
        with self._changed:
            self._closing = True
            if self._control is not None:
                self._control.shutdown(socket.SHUT_RDWR)
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        with self._changed:
            while self._spares:
                self._spares.pop().close()

    def _bury_dead_spares(self) -> None:
        for child in [spare for spare in self._spares if spare.gone and not spare.has_last_words]:
            self._spares.remove(child)
            child.close()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise type(self._failure)(str(self._failure))

    def _request(self) -> Child:
        with self._changed:
            if self._thread.ident is None or self._closing:
                raise SandboxError("the sandbox is closed or not started: call start(), or use it in a with block")
            self._changed.wait_for(lambda: self._control or self._failure or self._closing, self._patience)
            self._raise_failure()
            if self._control is None:
                raise SandboxError(f"there is no zygote after {self._patience:.0f} s: {self.zygote_log}")
            child = Child(self._next_id)
            self._next_id += 1
            self._alive[child.id] = child
            descriptors = [child.their_sock.fileno(), child.their_output_fd]
            try:
                wire.send_frame(self._control, {"id": child.id}, descriptors)
            except OSError:
                child.lost = "the zygote died before it could fork"
                child.exited.set()
            finally:
                child.hand_over()
            return child

    def _supervise(self) -> None:
        """Body of the one thread. The zygote dies with the thread that started it, so it starts here."""
        try:
            self._keep_a_zygote()
        finally:
            if not self._closing and self._failure is None:
                self._fail(SandboxError("the thread that supervises the sandbox ended; see the log"))

    def _keep_a_zygote(self) -> None:
        deaths = 0
        while not self._closing and self._failure is None:
            self._warm = False
            try:
                launched = self._launch()
            except SandboxError as error:
                self._fail(error)
                return
            with contextlib.suppress(SandboxError):  # closing meanwhile
                self.refill()
            self._follow(launched.log_fd)
            code = self._end(launched)
            if self._closing or self._failure is not None:
                return
            deaths = 1 if self._warm else deaths + 1
            _log.warning("zygote died code=%s deaths_in_a_row=%s; restarting", code, deaths)
            if deaths >= DEATHS_BEFORE_GIVING_UP:
                self._fail(SandboxError(f"the zygote died {deaths} times in a row, code {code}: {self.zygote_log}"))

    def _launch(self) -> Launched:
        launched = launch(self._config, self._container, self._size, lambda: self._closing)
        with contextlib.suppress(OSError):  # it died at once: following it finds that out
            wire.send_frame(launched.control, self._config.to_json())
        with self._changed:
            self._control, self._zygote_pid, self._log_tail = launched.control, launched.pid, launched.log
            self._changed.notify_all()
            shut = self._closing
        if shut:
            launched.control.shutdown(socket.SHUT_RDWR)
        return launched

    def _follow(self, log_fd: int) -> None:
        assert self._control is not None
        channel = wire.Channel(self._control)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(log_fd, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == log_fd:
                    if not self._read_log(log_fd):
                        poll.unregister(log_fd)
                elif not self._hear(channel):
                    return

    def _read_log(self, log_fd: int) -> bool:
        """Keep the end of what the zygote wrote; False if there is nothing more ever."""
        text = os.read(log_fd, 1 << 16)
        self._log_tail = (self._log_tail + text)[-ZYGOTE_LOG_BYTES:]
        return bool(text)

    def _hear(self, channel: wire.Channel) -> bool:
        while True:
            try:
                received = channel.receive()
            except OSError:
                received = None
            if received is None:
                return False
            self._note(*received)
            if not channel.has_more:
                return True

    def _note(self, message: JsonDict, descriptors: list[int]) -> None:
        kind = message["kind"]
        if kind == "forked":
            child = self._alive[message["id"]]
            child.pid, child.pidfd = pid_of(descriptors[0]), descriptors[0]
            child.forked.set()
        elif kind == "exited":
            child = self._alive.pop(message["id"])
            child.exit = Exit(
                message["code"], message["cpu_seconds"], message["peak_memory_bytes"], message["strangers"]
            )
            child.exited.set()
        elif kind == "fork failed":
            self._lose(self._alive.pop(message["id"]), f"the zygote could not fork: {message['text']}")
        elif kind == "failed":
            error = IsolationError if message["stage"] == "isolation" else SandboxError
            text = message["text"] if error is IsolationError else f"the zygote could not import: {message['text']}"
            self._fail(error(text))
        else:
            self._progress(kind, message)

    def _progress(self, kind: str, message: JsonDict) -> None:
        with self._changed:
            if kind == "isolation":
                self._report = IsolationReport.from_json(message["report"])
            elif kind == "warm":
                self._warm = True
                _log.info("zygote warm seconds=%.2f", message["seconds"])
            self._changed.notify_all()

    def _end(self, launched: Launched) -> int:
        with self._changed:
            assert self._control is not None
            self._control.close()
            self._control = None
        if not self._warm:
            launched.end()
        try:
            code = launched.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            launched.kill()
            code = launched.process.wait()
        os.set_blocking(launched.log_fd, False)  # its last words may still be in the pipe
        with contextlib.suppress(BlockingIOError):
            while self._read_log(launched.log_fd):
                pass
        os.close(launched.log_fd)
        for child in list(self._alive.values()):
            child.kill()
            self._lose(child, f"the zygote ended with code {code} and took this process with it")
        self._alive.clear()
        return code

    def _lose(self, child: Child, why: str) -> None:
        child.lost = why
        child.exited.set()
        child.forked.set()

    def _fail(self, error: SandboxError) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()
        for child in list(self._alive.values()):
            self._lose(child, str(error))
