"""Before a new design is trained a person approves, edits or rejects it.

    gate -> review -> train          approved
     ^        |  +--> judge          rejected: remembered as a failure, with the reason
     +-screen-+                      edited: a new design, which has to pass like any other

The step `review` interrupts the graph with a question; whoever runs the graph has it answered here and resumes it. What
was decided is in the memory before it takes effect, and is found there when the campaign goes on: nobody is asked
twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, Protocol

from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import model_validator

from netwright.campaign.board import Board
from netwright.campaign.work import State, Work, ended
from netwright.memory.records import Campaign, Review
from netwright.memory.store import Memory
from netwright.printable import Words
from netwright.types import Candidate, Frozen, GateReport, JsonDict, Remembered

REJECTED = "review: rejected"
EDITED = "review: edited"
NO_REASON = "a person rejected it before it was trained, and gave no reason"
PERSON = "person, after "


class Question(Frozen):
    """What a person is to see of a design that passed its gates.

    `position` counts how often this design was asked about before. `edit` is the person's last edit of it where that
    was refused, and `refusal` says by what: it is the design as it was before that is to be decided on.
    """

    action: int
    position: int
    operator: str
    candidate: Candidate
    changed: Words
    parent: Candidate | None
    gates: tuple[GateReport, ...]
    edit: str | None = None
    refusal: Words = ""


class Decision(Frozen):
    """What a person decided: `note` is the reason of a rejection, `source` the file as it was edited."""

    decision: Literal["approve", "reject", "edit"]
    note: Words = ""
    source: str | None = None

    @model_validator(mode="after")
    def _edited(self) -> Decision:
        if (self.decision == "edit") != (self.source is not None):
            raise ValueError("expected a source with an edit, and none with anything else")
        return self


class Reviewer(Protocol):
    """Whoever decides whether a design is trained. It is asked one question at a time."""

    async def decide(self, question: Question) -> Decision:
        """Decide. A cancelled question is forgotten, and put again when the campaign goes on.

        Raises:
            Interrupted: the campaign is to stop; nothing was decided.
        """
        ...


class Desk:
    """Puts designs before a person, one after the other, and keeps what was decided.

    `decided` is what was decided before. Without a reviewer nobody is asked: that holds, and what was not decided
    passes.
    """

    def __init__(
        self, memory: Memory, row: Campaign, decided: Sequence[Review], reviewer: Reviewer | None, board: Board
    ) -> None:
        self._memory = memory
        self._row = row
        self._decided = {(each.action, each.candidate_id, each.position): each for each in decided}
        self._reviewer = reviewer
        self._board = board
        self._one_at_a_time = asyncio.Lock()

    async def review(self, state: State, runtime: Runtime[Work]) -> State:
        """The step of the graph. It is interrupted by its question, and begins anew with the answer."""
        work, state = runtime.context, _put_forward(state)
        answer: JsonDict = interrupt(self._question(state, work).model_dump(mode="json"))
        review = Review.model_validate(answer)
        update = State(
            passing=state["passing"],
            asked=[*state["asked"], state["passing"]],
            failed_attempts=state["failed_attempts"],
            decision=review.decision,
            candidate_id=state["passing"],
            rejection="",
        )
        if review.decision == "edit":
            changed = "; ".join(part for part in (state["changed"], "then edited by a person") if part)
            return update | State(candidate_id=review.edited_id, changed=changed)
        work.screened.set()
        if review.decision == "reject":
            self._board.failures[REJECTED] += 1
            update |= ended(REJECTED, review.note or NO_REASON)
        return update

    async def answer(self, question: Question) -> Review:
        """What was decided before, or is by whoever is asked now.

        Raises: Interrupted.
        """
        known = self._decided.get((question.action, question.candidate.id, question.position))
        if known is not None:
            return known
        if self._reviewer is None:
            return _review(question, Decision(decision="approve"))
        with self._board.waiting.held():
            async with self._one_at_a_time:
                decision = await self._reviewer.decide(question)
        edited = None
        if decision.source is not None:
            edited = _edited(question.candidate, decision.source)
            self._memory.put_candidate(edited)
        review = _review(question, decision, edited)
        self._memory.put_review(self._row.id, review)
        return review

    def _question(self, state: State, work: Work) -> Question:
        candidate = self._memory.candidate(state["passing"])
        tried = state["candidate_id"] if state["rejection"] else None
        return Question(
            action=work.action.index,
            position=state["asked"].count(candidate.id),
            operator=state["operator"],
            candidate=candidate,
            changed=state["changed"],
            parent=_parent(work),
            gates=self._memory.gates(candidate.id, self._row.task.id),
            edit=None if tried is None else self._memory.candidate(tried).source,
            refusal=state["rejection"],
        )


def _put_forward(state: State) -> State:
    """The state with the design that is to be decided on as `passing`: not an edit that was refused.

    What was left behind on the way is one of the attempts.
    """
    design, before = state["candidate_id"], state["passing"]
    assert design is not None
    if state["rejection"]:
        gate, _, sentence = state["rejection"].partition(": ")
        stage = gate if gate == "novelty" else f"gate: {gate}"
        left = [{"candidate_id": design, "stage": stage, "failure": sentence}]
        design = before
    elif before and before != design:
        left = [{"candidate_id": before, "stage": EDITED, "failure": "a person edited it before it was trained"}]
    else:
        left = []
    return state | State(passing=design, failed_attempts=[*state["failed_attempts"], *left])


def _parent(work: Work) -> Candidate | None:
    known: list[Remembered] = [work.contexts.node(parent) for parent in work.action.parents[:1]]
    return known[0].candidate if known else None


def _edited(candidate: Candidate, source: str) -> Candidate:
    """The design as a person edited it, under its title and hypothesis; the grammar's description no longer holds."""
    origin = candidate.origin if candidate.origin.startswith(PERSON) else f"{PERSON}{candidate.origin}"
    return candidate.model_copy(update={"source": source, "origin": origin, "genotype": None})


def _review(question: Question, decision: Decision, edited: Candidate | None = None) -> Review:
    return Review(
        action=question.action,
        candidate_id=question.candidate.id,
        position=question.position,
        decision=decision.decision,
        note=decision.note,
        edited_id=edited.id if edited else None,
    )
