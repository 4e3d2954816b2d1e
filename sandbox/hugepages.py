"""Huge pages for the zygote's memory, which makes its children cheap to start and quick to end.

A fork copies, and an exit takes down, one table entry per page: 60,000 of 4 KiB for what torch keeps in memory, or some
hundred of 2 MiB. A child that writes still copies no more than 4 KiB.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from netwright.sandbox import kernel

HUGE_BYTES = 2 << 20
_ANONYMOUS = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ 00:00 0 +(?:\[heap\])?$")


def collapse_own_memory() -> int:
    """Move the anonymous memory of this process into huge pages, as far as the kernel does it; return their number.

    Takes 0.1 to 0.4 s for 160 MB. Kernels before 6.1 cannot (MADV_COLLAPSE), and nothing changes.
    """
    n_moved = 0
    for start, size in list(_regions()):
        with contextlib.suppress(OSError):  # no huge page is free, or huge pages are switched off
            kernel.advise(start, size, kernel.MADV_COLLAPSE)
            n_moved += size // HUGE_BYTES
    return n_moved


def _regions() -> Iterator[tuple[int, int]]:
    """List (address, size) of what is anonymous, writable and aligned to huge pages."""
    with open("/proc/self/maps") as file:
        for line in file:
            if found := _ANONYMOUS.match(line):
                first = -(-int(found[1], 16) // HUGE_BYTES) * HUGE_BYTES
                size = int(found[2], 16) // HUGE_BYTES * HUGE_BYTES - first
                if size > 0:
                    yield first, size
