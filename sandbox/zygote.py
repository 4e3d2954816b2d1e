"""The process that imports once and forks children for the rest of its life.

It is exec'd with a clean environment and holds no secret and no held-out data. It stays single-threaded and
never touches CUDA, because a fork after either hangs. The trusted side talks to it over one Unix socket.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netwright.errors import IsolationError
from netwright.sandbox import child, hugepages, isolation, kernel, layers, wire
from netwright.sandbox.identity import identity
from netwright.sandbox.isolation import Tier
from netwright.sandbox.orphans import kill_children

if TYPE_CHECKING:
    from netwright.types import JsonDict


IDLE_MILLISECONDS = 100


def _resolve(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise ImportError(f"{module} has no function {function!r}")
    return found  # type: ignore[no-any-return]


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _load(config: JsonDict, tier: Tier, libraries: tuple[str, ...]) -> child.Setup:
    """Import everything and warm up; afterwards a fork costs milliseconds."""
    entries = {name: _resolve(name) for name in config["entries"]}
    warm_child = _resolve(config["warm_child"]) if config["warm_child"] else None
    if config["warm_zygote"]:
        _resolve(config["warm_zygote"])()
    if (count := _threads()) != 1:
        raise RuntimeError(
            f"the zygote has {count} threads after importing and warming up; its children would hang: "
            "set the number of threads to 1 in the warm_zygote hook"
        )
    policy = isolation.policy_hash(tier, config["device"])  # also assembles the filter, once for all children
    return child.Setup(os.getpid(), tier, policy, config["device"], libraries, entries, warm_child)


class Zygote:
    """Forks on request, reports every end with its rusage, and kills what a child left behind."""

    def __init__(self, channel: wire.Channel, setup: child.Setup) -> None:
        self._channel = channel
        self._setup = setup
        self._ids: dict[int, tuple[int, int]] = {}  # pid -> (child id, pidfd)
        self._pids: dict[int, int] = {}  # pidfd -> pid
        self._poll = select.poll()
        self._poll.register(channel.sock, select.POLLIN)

    def serve(self) -> None:
        """Work until the trusted side hangs up. The first time that there is nothing to do, tidy the memory."""
        patience: int | None = IDLE_MILLISECONDS
        while True:
            events = self._poll.poll(patience)
            if not events:
                hugepages.collapse_own_memory()
                patience = None
            for descriptor, _ in events:
                if descriptor in self._pids:
                    self._bury(self._pids[descriptor])
                elif not self._obey():
                    return

    def end_all(self) -> None:
        """Kill every process that came from here."""
        for pid in list(self._ids):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(pid, 0)
        self._ids.clear()
        kill_children()

    def _obey(self) -> bool:
        while True:
            received = self._channel.receive()
            if received is None:
                return False
            message, descriptors = received
            self._fork(int(message["id"]), *descriptors)
            if not self._channel.has_more:
                return True

    def _fork(self, child_id: int, job_fd: int, output_fd: int) -> None:
        try:
            pid = os.fork()
            if pid == 0:
                child.main(job_fd, output_fd, self._setup)
        except OSError as error:
            self._send({"kind": "fork failed", "id": child_id, "text": str(error)})
            return
        finally:
            os.close(job_fd)
            os.close(output_fd)
        pidfd = os.pidfd_open(pid)
        self._ids[pid] = (child_id, pidfd)
        self._pids[pidfd] = pid
        self._poll.register(pidfd, select.POLLIN)
        self._send({"kind": "forked", "id": child_id, "pid": pid}, [pidfd])

    def _bury(self, pid: int) -> None:
        _, status, usage = os.wait4(pid, 0)
        child_id, pidfd = self._ids.pop(pid)
        self._poll.unregister(pidfd)
        del self._pids[pidfd]
        os.close(pidfd)
        # Only tier T0 lets a child start processes; this makes sure.
        strangers = kill_children(spared=self._ids)
        self._send(
            {
                "kind": "exited",
                "id": child_id,
                "code": os.waitstatus_to_exitcode(status),
                "cpu_seconds": usage.ru_utime + usage.ru_stime,
                "peak_memory_bytes": usage.ru_maxrss * 1024,
                "strangers": strangers,
            }
        )

    def _send(self, message: JsonDict, descriptors: list[int] | None = None) -> None:
        wire.send_frame(self._channel.sock, message, descriptors or [])


def _connect(path: str) -> socket.socket:
    """Reach the trusted side from a container, of which this process is the first: the end of one ends the other."""
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    wire.send_frame(sock, {"kind": "hello", "identity": identity()})
    return sock


def _tie_to(parent: int) -> None:
    """Die with the trusted side; `_die_in_order` says how once there are children."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGTERM)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:
        sys.exit(0)


def _die_in_order(channel: wire.Channel) -> None:
    """Let SIGTERM look like the trusted side hanging up, so that it cannot interrupt the killing of children."""

    def hang_up(*_: object) -> None:
        with contextlib.suppress(OSError):
            channel.sock.shutdown(socket.SHUT_RDWR)

    signal.signal(signal.SIGTERM, hang_up)


def _prepare(channel: wire.Channel) -> child.Setup | None:
    received = channel.receive()
    if received is None:
        return None
    config, _ = received
    begun = time.perf_counter()
    try:
        sys.path[:0] = config["python_path"]
        libraries = layers.library_paths(config["python_path"])
        report = isolation.survey(libraries, config["device"])
        wire.send_frame(channel.sock, {"kind": "isolation", "report": report.to_json()})
        tier = isolation.demand(report, Tier(config["isolation"]) if config["isolation"] else None)
        setup = _load(config, tier, libraries)
    except Exception as error:  # noqa: BLE001 - the border of the zygote: the trusted side is told and raises
        kind = "isolation" if isinstance(error, IsolationError) else "import"
        text = str(error) if kind == "isolation" else traceback.format_exc()[-4000:]
        wire.send_frame(channel.sock, {"kind": "failed", "stage": kind, "text": text})
        return None
    gc.freeze()  # without collecting first: that would take 0.3 s and free next to nothing
    wire.send_frame(channel.sock, {"kind": "warm", "seconds": time.perf_counter() - begun})
    return setup


def main(arguments: list[str]) -> None:
    """Print a report (`--probe DEVICE`), or serve: `--connect SOCKET`, or a descriptor and the pid of its owner."""
    if arguments[0] == "--probe":
        report = isolation.survey(layers.library_paths(), arguments[1])
        sys.stdout.write(json.dumps(report.to_json()))
        return
    gc.disable()
    if arguments[0] == "--connect":
        channel = wire.Channel(_connect(arguments[1]))
    else:
        _tie_to(int(arguments[1]))
        channel = wire.Channel(socket.socket(fileno=int(arguments[0])))
    setup = _prepare(channel)
    if setup is None:
        return
    zygote = Zygote(channel, setup)
    _die_in_order(channel)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            zygote.serve()
    finally:
        zygote.end_all()
    os._exit(0)  # taking down the interpreter with all it imported takes 0.2 s


if __name__ == "__main__":
    main(sys.argv[1:])
