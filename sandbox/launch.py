"""Starting a zygote, as a process of this machine or in a container, and meeting it on a Unix socket.

A process inherits its end of the socket. A container gets a folder mounted with a socket to connect to, which takes
one connection, from another pid namespace than ours, and is gone before the first candidate comes.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwright.errors import IsolationError, SandboxError
from netwright.sandbox import wire
from netwright.sandbox.container import (
    SOCKET_NAME,
    Container,
    container_command,
    container_environment,
    explain_failure,
    missing_engine,
    other_netwright,
)
from netwright.sandbox.identity import identity
from netwright.sandbox.spare import ZygoteConfig, clean_environment

PROCESS_SECONDS = 30.0
CONTAINER_SECONDS = 300.0  # rootless Podman copies a whole image before its first start
ZYGOTE_LOG_BYTES = 4096
_HELLO_SECONDS = 30.0
_ENGINE_SECONDS = 30.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Launched:
    """A zygote that has begun: `process` is it, or the engine's client that lives as long as the container.

    `pid` is the zygote's as this process sees it, `log` the end of what it has written so far to `log_fd`.
    """

    process: subprocess.Popen[bytes]
    control: socket.socket
    log_fd: int
    pid: int
    log: bytes = b""
    container: tuple[str, str] | None = None

    def end(self) -> None:
        """Ask it to end before it is warm; it may import for seconds before it sees that its socket is closed."""
        if self.container:
            self.kill()
        else:
            self.process.terminate()

    def kill(self) -> None:
        """SIGKILL for all of it, and no container is left."""
        self.process.kill()
        if self.container:
            _remove(*self.container)


def patience(container: Container | None) -> float:
    """Seconds within which a zygote has to say what isolation it can have."""
    return CONTAINER_SECONDS if container else PROCESS_SECONDS


def launch(config: ZygoteConfig, container: Container | None, processes: int, stopped: Callable[[], bool]) -> Launched:
    """Start a zygote for up to `processes` children. Raises IsolationError, SandboxError.

    `stopped` is asked while a container starts; the answer True ends that with a SandboxError.
    """
    if container is None:
        try:
            return launch_process(config)
        except OSError as error:
            raise SandboxError(f"the zygote cannot be started: {error}") from error
    return launch_container(config, container, processes, stopped)


def launch_process(config: ZygoteConfig) -> Launched:
    """Start a zygote that dies with the calling thread. Raises OSError."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "netwright.sandbox.zygote", str(theirs.fileno()), str(os.getpid())]
    try:
        process, log_fd = _spawn(command, clean_environment(config.device, config.gpu), [theirs.fileno()])
    finally:
        theirs.close()
    return Launched(process=process, control=ours, log_fd=log_fd, pid=process.pid)


def launch_container(
    config: ZygoteConfig, container: Container, processes: int, stopped: Callable[[], bool]
) -> Launched:
    """Start a zygote in a container, and check that it is one and has the same netwright."""
    if shutil.which(container.engine) is None:
        raise missing_engine(container.engine)
    name = f"netwright-{uuid.uuid4().hex[:12]}"
    # The outer folder keeps other users of this machine out; the container, of whatever user, gets the inner one.
    with tempfile.TemporaryDirectory(prefix="netwright-") as private:
        folder = Path(private, "socket")
        folder.mkdir(mode=0o755)
        with _listen(folder / SOCKET_NAME) as listener:
            command = container_command(
                container,
                name=name,
                folder=str(folder),
                processes=processes,
                memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 4 // 5,
                environment=container_environment(config.device, clean_environment(config.device, config.gpu)),
                python_path=config.python_path,
            )
            process, log_fd = _spawn(command, os.environ, [])
            try:
                control, log = _Start(container, process, log_fd, stopped).meet(listener)
                pid = _introduced(control, container)
            except BaseException:
                process.kill()
                _remove(container.engine, name)
                process.wait()
                os.close(log_fd)
                raise
    return Launched(
        process=process, control=control, log_fd=log_fd, pid=pid, log=log, container=(container.engine, name)
    )


def _spawn(
    command: Sequence[str], environment: Mapping[str, str], keep: Sequence[int]
) -> tuple[subprocess.Popen[bytes], int]:
    log_fd, their_log_fd = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=their_log_fd,
            stderr=their_log_fd,
            pass_fds=keep,
            start_new_session=True,
        )
    except OSError:
        os.close(log_fd)
        raise
    finally:
        os.close(their_log_fd)
    return process, log_fd


def _listen(path: Path) -> socket.socket:
    """Listen on a socket at `path`, which may be longer than the 107 bytes that an address holds. Raises OSError."""
    listener = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
    path.chmod(0o666)
    listener.listen(1)
    return listener


class _Start:
    """A container on its way: until it connects, ends, or takes too long."""

    def __init__(
        self, container: Container, process: subprocess.Popen[bytes], log_fd: int, stopped: Callable[[], bool]
    ) -> None:
        self._container = container
        self._process = process
        self._log_fd = log_fd
        self._stopped = stopped
        self._log = b""

    def meet(self, listener: socket.socket) -> tuple[socket.socket, bytes]:
        """Wait for the one connection; return it and what was written meanwhile. Raises SandboxError."""
        until = time.monotonic() + CONTAINER_SECONDS
        while time.monotonic() < until and not self._stopped():
            ready, _, _ = select.select([listener.fileno(), self._log_fd], [], [], _LOOK_SECONDS)
            if listener.fileno() in ready:
                return listener.accept()[0], self._log
            if self._log_fd in ready and not self._read():
                raise explain_failure(self._container, self._process.wait(), self._text)
            if self._process.poll() is not None and not ready:
                raise explain_failure(self._container, self._process.returncode, self._text)
        if self._stopped():
            raise SandboxError("the sandbox was closed while its container started")
        what = f"{self._container.engine} started no container of the image {self._container.image!r}"
        raise SandboxError(f"{what} within {CONTAINER_SECONDS:.0f} s: {self._text.strip() or 'it said nothing'}")

    @property
    def _text(self) -> str:
        return self._log.decode(errors="replace")

    def _read(self) -> bool:
        text = os.read(self._log_fd, 1 << 16)
        self._log = (self._log + text)[-ZYGOTE_LOG_BYTES:]
        return bool(text)


def _introduced(control: socket.socket, container: Container) -> int:
    """Return the pid of whoever connected once it is known to be what it should be. Raises SandboxError."""
    try:
        pid = _peer(control)
        _greet(control, container)
    except BaseException:
        control.close()
        raise
    return pid


def _peer(control: socket.socket) -> int:
    """Return the pid of the zygote as seen from here. Raises IsolationError if it is not one to watch and to kill."""
    credentials = control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, user, _ = (int(number) for number in struct.unpack("3i", credentials))
    if pid == 0:
        raise IsolationError(
            "the container's processes cannot be seen from here, as where netwright itself runs in a container: run "
            "netwright beside the engine, or leave out --sandbox"
        )
    if os.geteuid() not in (0, user):
        raise IsolationError(
            f"the container runs as user {user}, which user {os.geteuid()} may not kill: give the engine an option "
            'that maps them, "--user=0:0" for rootless Docker'
        )
    if _namespaces(pid) <= _namespaces(os.getpid()):
        raise IsolationError("the container shares the processes of this machine: leave out the option --pid")
    return pid


def _namespaces(pid: int) -> int:
    """How many pid namespaces a process is in, one within the other."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return len(next(line for line in status if line.startswith("NSpid:")).split()) - 1


def _greet(control: socket.socket, container: Container) -> None:
    """Hear which netwright is in the image. Raises IsolationError if it is not this one."""
    control.settimeout(_HELLO_SECONDS)
    try:
        received = wire.Channel(control).receive()
    except (OSError, ValueError) as error:
        raise SandboxError(f"the zygote in the container did not introduce itself: {error}") from error
    control.settimeout(None)
    theirs = str(received[0].get("identity")) if received else "it ended at once"
    if theirs != identity():
        raise other_netwright(container, theirs, identity())


def _remove(engine: str, name: str) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = [engine, "rm", "--force", name]
        subprocess.run(command, capture_output=True, timeout=_ENGINE_SECONDS, check=False)
