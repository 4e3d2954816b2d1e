"""A librarian that asks an LLM what later experiments say of the lessons so far."""

from __future__ import annotations

from netwright.agents.asking import Asking
from netwright.agents.base import Correspondent, Ledger
from netwright.agents.context_text import campaign_text
from netwright.agents.conversation import Occasion
from netwright.agents.journal_text import label
from netwright.agents.lessons import Lesson, Revision, Shelf
from netwright.agents.quoting import as_data, one_line
from netwright.agents.room import WANTED_CONTEXT, Room
from netwright.prompts import load
from netwright.types import Context

LESSONS_SHOWN = 40


class LlmLibrarian:
    """Implements `Librarian` with one endpoint; an endpoint that fails leaves the lessons as they are."""

    def __init__(
        self,
        endpoint: Correspondent,
        ledger: Ledger,
        *,
        temperature: float | None = 0.2,
        max_tokens: int = 2000,
        context_tokens: int = WANTED_CONTEXT,
    ) -> None:
        self._asking = Asking(
            "librarian",
            endpoint,
            ledger,
            temperature=temperature,
            max_tokens=max_tokens,
            context_tokens=context_tokens,
        )

    async def revise(self, context: Context, shelf: Shelf) -> Revision | None:
        """See `Librarian`."""
        said = await self._asking.answer(
            "librarian_case",
            lambda room: _shelf_text(context, shelf, room),
            Revision,
            context,
            Occasion(f"told={len(context.journal)}"),
        )
        return None if said is None else said[0]


def _shelf_text(context: Context, shelf: Shelf, room: Room) -> str:
    return load("librarian_case").render(
        role=load("librarian").text.strip(),
        evidence=campaign_text(context, room.campaign),
        lessons=as_data("\n".join(_line(lesson) for lesson in shelf.standing[:LESSONS_SHOWN])),
    )


def _line(lesson: Lesson) -> str:
    sides = (("for it", lesson.supporting), ("against it", lesson.opposing))
    told = "; ".join(f"{side}: {', '.join(map(label, nodes))}" for side, nodes in sides if nodes)
    return f"L{lesson.number}. {one_line(lesson.text)} ({told})"
