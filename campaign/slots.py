"""Training slots: at most one trial per slot, blocking work in threads, everything stoppable at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar

from netwright.campaign.board import Board, Slot
from netwright.evaluator.laboratory import Examination, Progress
from netwright.evaluator.suite import AnyLaboratory
from netwright.types import Candidate, Split, Trial, TrialStatus

Result = TypeVar("Result")


class Interrupted(Exception):
    """The campaign was asked to stop; whatever was in flight is to be done again."""


class Slots:
    """Runs checks and trials of one laboratory from an asyncio loop.

    Trials wait for one of `workers` slots; checks have one lane of their own, so that the next candidate is ready
    when a slot falls free. Each trial holds `turn`, from before it has a slot; None waits for nothing.
    `stop()` kills what runs; the waiting coroutines raise `Interrupted`.
    """

    def __init__(
        self,
        laboratory: AnyLaboratory,
        workers: int,
        board: Board,
        store_weights: Callable[[bytes], str] | None = None,
        turn: Callable[[], AbstractAsyncContextManager[None]] | None = None,
    ) -> None:
        self.laboratory = laboratory
        self._board = board
        self._store_weights = store_weights
        self._turn = turn or nullcontext
        self._free: asyncio.PriorityQueue[int] = asyncio.PriorityQueue()
        for number in range(workers):
            self._free.put_nowait(number)
        self._checks = asyncio.Semaphore(1)
        self._threads = ThreadPoolExecutor(max_workers=workers + 1, thread_name_prefix="slot")
        self._stop = threading.Event()

    def stop(self) -> None:
        """Kill every running trial and refuse new ones. Safe to call from a signal handler."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def close(self) -> None:
        """Stop, and wait for the threads to come home."""
        self.stop()
        self._threads.shutdown(wait=True)

    async def examine(self, candidate: Candidate) -> Examination:
        """All gates of `candidate`, and its portrait if it passes.

        Raises: Interrupted.
        """
        async with self._checks:
            found = await self._in_thread(lambda: self.laboratory.examine(candidate, cancel=self._stop))
        if self.stopped:
            raise Interrupted  # a check that was cut short says nothing
        return found

    async def trial(
        self,
        candidate: Candidate,
        *,
        rung: int,
        seed: int,
        purpose: str,
        split: Split = Split.VALIDATION,
        known: Sequence[Trial] = (),
    ) -> Trial:
        """Train and score `candidate` in the next free slot; a training that is hopeless beside those `known` is ended.

        Raises: Interrupted.
        """
        async with self._turn():
            trial = await self._in_slot(candidate, rung, seed, purpose, split, known)
        if trial.status is TrialStatus.INTERRUPTED:
            raise Interrupted
        rungs = self.laboratory.task.spec.rungs
        spent = trial.tokens if trial.status is TrialStatus.STOPPED else rungs[rung].tokens
        self._board.work_done += spent / rungs[0].tokens
        return trial

    async def _in_slot(
        self, candidate: Candidate, rung: int, seed: int, purpose: str, split: Split, known: Sequence[Trial]
    ) -> Trial:
        number = await self._free.get()
        slot = Slot(candidate.title, purpose, time.monotonic())
        self._board.slots[number] = slot
        try:
            return await self._in_thread(
                lambda: self.laboratory.trial(
                    candidate,
                    rung=rung,
                    seed=seed,
                    split=split,
                    on_progress=lambda progress: _show(slot, progress),
                    cancel=self._stop,
                    # The first rung is for choosing: nobody asks for those weights again, and they are many.
                    store_weights=self._store_weights if rung else None,
                    known=known,
                )
            )
        finally:
            self._board.slots.pop(number, None)
            self._board.busy_seconds += time.monotonic() - slot.since
            self._free.put_nowait(number)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        if self.stopped:
            raise Interrupted
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _show(slot: Slot, progress: Progress) -> None:
    slot.step, slot.steps, slot.loss_nats = progress.step, progress.steps, progress.loss
