"""Ending all that a process started, and what that started in turn; for processes that adopt orphans.

The caller is single-threaded and a subreaper (PR_SET_CHILD_SUBREAPER), so that whatever loses its parent becomes its
child.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection


def kill_children(spared: Collection[int] = ()) -> int:
    """Kill and bury every child but those `spared`, and what falls to this process as they die; return how many."""
    killed = 0
    while doomed := _own_children() - set(spared):
        for pid in doomed:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            killed += 1
    return killed


def _own_children() -> set[int]:
    """List the processes whose parent is this single-threaded one, what its dead children left to it included."""
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return set(map(int, file.read().split()))
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return set(_processes_of(pid))


def _processes_of(parent: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                found.append(int(name))
    return found
