"""Pages that were made of the memory as it still stands: to load one again costs nothing."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

Answer = tuple[str, str]
Stamp = tuple[tuple[int, int, int], ...]
MOST = 32


class Kept:
    """The last pages by address, for as long as neither the file nor its log changes. Shared by threads."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, Stamp], Answer] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, address: str, path: Path, make: Callable[[], Answer]) -> Answer:
        """The page at `address`, made anew where the memory at `path` is not what it was."""
        # Before it is made: what is written meanwhile may or may not be on the page, and is asked for again.
        key = (address, stamp(path))
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
                return self._pages[key]
        made = make()
        with self._lock:
            self._pages[key] = made
            while len(self._pages) > MOST:
                self._pages.popitem(last=False)
        return made


def stamp(path: Path) -> Stamp:
    """What changes with every write: identity, size and time of the file and of its log."""
    found = []
    for each in (path, path.with_name(f"{path.name}-wal")):
        try:
            known = os.stat(each)
        except FileNotFoundError:
            continue
        found.append((known.st_ino, known.st_size, known.st_mtime_ns))
    return tuple(found)
