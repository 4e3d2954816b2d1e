"""One core for each job, so that jobs neither wander nor gain by threads what was paid for one."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Iterator


class Cores:
    """The cores that this process may use, lent to jobs: one of those with the fewest, the longest idle. Thread-safe.

    The first is drawn by lot, so that several sandboxes on one machine do not all begin with the same.
    """

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self._jobs = dict.fromkeys(random.sample(cores, len(cores)), 0)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def one(self) -> Iterator[int]:
        """Lend a core for the time of the `with` block."""
        with self._lock:
            core = min(self._jobs, key=lambda each: self._jobs[each])
            self._jobs[core] = self._jobs.pop(core) + 1  # to the end of the queue
        try:
            yield core
        finally:
            with self._lock:
                self._jobs[core] -= 1


def pin(pid: int, core: int) -> None:
    """Let the process run on `core` alone, as far as this one may say so."""
    with contextlib.suppress(OSError):  # it is gone, or another user's: then it runs where the kernel likes
        os.sched_setaffinity(pid, {core})
