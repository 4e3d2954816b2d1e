"""What the trusted side holds of a zygote and of each process forked from it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import site
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netwright.sandbox.isolation import Tier

if TYPE_CHECKING:
    from netwright.types import JsonDict

# What a child may see of this process's environment: where libraries lie, and never a credential.
_PASSED_ON = ("PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
_PASSED_ON_TO_CUDA = ("CUDA_DEVICE_ORDER", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES")
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class ZygoteConfig:
    """What a zygote is told when it starts; on CUDA its children see device number `gpu` alone, as their first."""

    entries: Sequence[str]
    warm_zygote: str | None
    warm_child: str | None
    isolation: Tier | None
    device: str
    gpu: int = 0
    python_path: Sequence[str]

    def to_json(self) -> JsonDict:
        return {
            "entries": list(self.entries),
            "warm_zygote": self.warm_zygote,
            "warm_child": self.warm_child,
            "isolation": self.isolation,
            "device": self.device,
            "python_path": list(self.python_path),
        }


@dataclass(frozen=True)
class Exit:
    """The end of a child as the zygote saw it; `code` is minus the signal that killed it, None if unseen.

    `left_behind` counts the processes that were found orphaned and were killed after it.
    """

    code: int | None
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    left_behind: int = 0


class Child:
    """One forked process and the trusted ends of its descriptors."""

    def __init__(self, child_id: int) -> None:
        self.id = child_id
        self.sock, self.their_sock = socket.socketpair()
        self.output_fd, self.their_output_fd = os.pipe()
        os.set_blocking(self.output_fd, False)
        self.sock.setblocking(False)
        self.pid = -1
        self.pidfd = -1
        self.forked = threading.Event()
        self.exited = threading.Event()
        self.exit = Exit(None)
        self.lost = ""
        self._closing = threading.Lock()

    def hand_over(self) -> None:
        """Close this side's copies of the child's ends."""
        self.their_sock.close()
        os.close(self.their_output_fd)

    @property
    def ready(self) -> bool:
        """Whether its first frame (that it is isolated and warm) has arrived."""
        return self.forked.is_set() and not self.gone and bool(self._peek())

    @property
    def gone(self) -> bool:
        """Whether the process has ended; the zygote's report of it may come a little later."""
        if self.exited.is_set():
            return True
        return self.pidfd >= 0 and bool(select.select([self.pidfd], [], [], 0)[0])

    @property
    def has_last_words(self) -> bool:
        """Whether it sent why its setup failed; whoever takes it will raise that."""
        return b'"fatal"' in self._peek()

    def _peek(self) -> bytes:
        try:
            return self.sock.recv(64, socket.MSG_PEEK)
        except OSError:
            return b""

    def kill(self) -> None:
        """SIGKILL; harmless if it is dead already."""
        with self._closing, contextlib.suppress(ProcessLookupError):
            if self.pidfd >= 0:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Free the descriptors; the process, if it lives, is the zygote's to bury."""
        with self._closing:
            self.sock.close()
            os.close(self.output_fd)
            if self.pidfd >= 0:
                os.close(self.pidfd)
                self.pidfd = -1


def pid_of(pidfd: int) -> int:
    """Return the pid behind a pidfd as this process sees it, whatever namespace it lives in; -1 if it is gone."""
    with open(f"/proc/self/fdinfo/{pidfd}", "rb") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(b"Pid:"))


def clean_environment(device: str, gpu: int = 0) -> dict[str, str]:
    """Make the whole environment of the zygote and its children."""
    names = (*_PASSED_ON, *(_PASSED_ON_TO_CUDA if device == "cuda" else ()))
    passed = {name: os.environ[name] for name in names if name in os.environ}
    if device == "cuda":
        passed["CUDA_VISIBLE_DEVICES"] = _visible(gpu, os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    if site.ENABLE_USER_SITE:
        passed["PYTHONUSERBASE"] = site.getuserbase()
    fixed = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}
    return {"LANG": "C.UTF-8", **passed, **fixed, **dict.fromkeys(_ONE_THREAD, "1")}


def _visible(gpu: int, ours: str) -> str:
    """Return what shows one device alone, where this process sees `ours` (numbers or UUIDs, or nothing for all)."""
    known = [name.strip() for name in ours.split(",") if name.strip()]
    return known[gpu] if gpu < len(known) else str(gpu)
