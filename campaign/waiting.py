"""The time in which everything that is under way waits for a person: it is not the campaign's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Waiting:
    """Counts who works, and measures how long nobody did although somebody could have.

    `clock` tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._working = 0
        self._held = 0
        self._since: float | None = None
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """How long, so far, all who are under way waited at once."""
        return self._before + (0.0 if self._since is None else self._clock() - self._since)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Count as working."""
        self._change(working=1)
        try:
            yield
        finally:
            self._change(working=-1)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for a person, or for somebody who may do so, in the midst of work."""
        self._change(working=-1, held=1)
        try:
            yield
        finally:
            self._change(working=1, held=-1)

    def _change(self, working: int, held: int = 0) -> None:
        before = self.seconds
        self._working += working
        self._held += held
        self._before, self._since = before, self._clock() if self._held and not self._working else None
