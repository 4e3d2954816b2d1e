"""Trainings and questions have one device in turn, where a model of our own and a training do not fit it together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

LINGER_SECONDS = 5.0


class Turns:
    """Lets in trainings or questions, any number of one kind at once, never both. Use it in one event loop.

    Whichever kind has the device keeps it until nobody of it is left, as loading a model again takes long: a campaign
    has a bounded number of designs in flight, so that sooner or later all of them wait for the other kind.

    Args:
        park: makes room for trainings; awaited before the first of each turn begins.
        linger_seconds: without a question before trainings may begin: a design that a gate rejects asks again soon.
    """

    def __init__(self, park: Callable[[], Awaitable[None]], linger_seconds: float = LINGER_SECONDS) -> None:
        self._park = park
        self._linger_seconds = linger_seconds
        self._asking = 0
        self._training = 0
        self._quiet_since = time.monotonic()
        self._door = asyncio.Lock()
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Hold the device for a question, from when no training has it."""
        while self._training:
            await self._changed.wait()
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._quiet_since = time.monotonic()
            self._tell()

    @contextlib.asynccontextmanager
    async def training(self) -> AsyncIterator[None]:
        """Hold the device for a training, from when no question has it and there is room."""
        async with self._door:
            is_first = not self._training
            if is_first:
                await self._quiet()
            self._training += 1
            try:
                if is_first:
                    await self._park()
            except BaseException:
                self._trained()
                raise
        try:
            yield
        finally:
            self._trained()

    def _trained(self) -> None:
        self._training -= 1
        self._tell()

    async def _quiet(self) -> None:
        """Wait until nobody asks, and nobody did for a while."""
        while self._asking or (left := self._quiet_since + self._linger_seconds - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), None if self._asking else left)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
