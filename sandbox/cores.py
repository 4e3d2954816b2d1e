"""One core for each job, so that jobs neither wander nor gain by threads what was paid for one."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator


class Cores:
    """The cores that this process may use, lent to jobs: always one of those with the fewest. Thread-safe."""

    def __init__(self) -> None:
        self._jobs = dict.fromkeys(sorted(os.sched_getaffinity(0)), 0)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def one(self) -> Iterator[int]:
        """Lend a core for the time of the `with` block."""
        with self._lock:
            core = min(self._jobs, key=lambda each: self._jobs[each])
            self._jobs[core] += 1
        try:
            yield core
        finally:
            with self._lock:
                self._jobs[core] -= 1


def pin(pid: int, core: int) -> None:
    """Let the process run on `core` alone, as far as this one may say so."""
    with contextlib.suppress(OSError):  # it is gone, or another user's: then it runs where the kernel likes
        os.sched_setaffinity(pid, {core})
