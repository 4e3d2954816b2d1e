"""How many requests are let out at once: no more than the server bears. One event loop at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType

_WORSE = 0.8
_MEMORY = 0.7


class Pace:
    """A semaphore whose size adapts between 1 and `bound`, and starts at `bound`.

    Additive increase, multiplicative decrease (Chiu and Jain 1989): a refusal or a time-out halves it, about `limit`
    answers raise it by one. It also shrinks to the size that brought most tokens per second in all, where the
    present one brings clearly less.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.limit = float(bound)
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._rates: dict[int, float] = {}

    async def __aenter__(self) -> Pace:
        while self.in_flight >= int(self.limit):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                else:
                    self._wake()
                raise
        self.in_flight += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.in_flight -= 1
        self._wake()

    def answered(self, tokens_per_second: float) -> None:
        """Note an answer, within its `async with`: the server bears this many."""
        here = self.in_flight
        rate = tokens_per_second * here
        self._rates[here] = _MEMORY * self._rates.get(here, rate) + (1 - _MEMORY) * rate
        best = max(self._rates, key=lambda size: self._rates[size])
        if best < here and self._rates[here] < _WORSE * self._rates[best]:
            self.limit = float(best)
        else:
            self.limit = min(float(self.bound), self.limit + 1 / self.limit)

    def overloaded(self) -> None:
        """Note that the server refused, or came too late: fewer at once."""
        self.limit = max(1.0, self.limit / 2)

    def _wake(self) -> None:
        room = int(self.limit) - self.in_flight
        while self._waiting and room > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1
