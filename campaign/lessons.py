"""The lessons of a campaign in order: a librarian looks at them after every few results.

It is waited for at fixed counts of results, before anything else is asked: so a campaign that goes on later, whose
librarian is answered from the ledger, has the same lessons at the same time.
"""

from __future__ import annotations

import asyncio

from netwright.agents.base import Librarian
from netwright.campaign.chronicle import Chronicle
from netwright.memory.store import Memory
from netwright.types import Action, Operator

EVERY = 8
"""Results from one look at the lessons to the next."""


class Lessons:
    """Has the lessons of one campaign revised, in its chronicle and in the memory."""

    def __init__(self, librarian: Librarian, chronicle: Chronicle, memory: Memory, campaign_id: int) -> None:
        self._librarian = librarian
        self._chronicle = chronicle
        self._memory = memory
        self._campaign_id = campaign_id
        self._asking: asyncio.Task[None] | None = None

    async def after(self, told: int) -> None:
        """Have the lessons revised if it is time, `told` results being known.

        Raises: CancelledError where `stop` was called meanwhile.
        """
        if told % EVERY == 0 and len(self._chronicle.shelf.standing) > 1:
            self._asking = asyncio.create_task(self._revise(told))
            await self._asking

    def stop(self) -> None:
        """Wait for no answer any longer."""
        if self._asking is not None:
            self._asking.cancel()

    async def _revise(self, told: int) -> None:
        # What belongs to a step of the search is not told: any step will do.
        survey = self._chronicle.context(Action(index=told, kind="expand", operator=Operator.DRAFT))
        revision = await self._librarian.revise(survey, self._chronicle.shelf)
        for lesson in () if revision is None else self._chronicle.revise(revision):
            self._memory.put_lesson(
                self._campaign_id,
                lesson.text,
                supporting=lesson.supporting,
                opposing=lesson.opposing,
                retired=lesson.retired,
            )
