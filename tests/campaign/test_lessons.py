"""A librarian is asked at fixed counts of results; what it says is kept in the chronicle and in the memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwright.agents.lessons import Revision, Shelf
from netwright.campaign.chronicle import Chronicle
from netwright.campaign.expansion import remembered
from netwright.campaign.lessons import EVERY, Lessons
from netwright.evaluator.tasks import load_task
from netwright.memory.records import ExperimentRecord
from netwright.memory.store import Memory
from netwright.types import Action, Candidate, Context, Operator, Outcome, Scope, Score, Verdict

TASK = load_task("recall").spec


class Librarian:
    """Says what it was given, and remembers when it was asked; `waits` is how long an answer takes, in seconds."""

    def __init__(self, waits: float = 0.0, **wanted: object) -> None:
        self.revision = Revision.model_validate(wanted)
        self.waits = waits
        self.seen: list[int] = []

    async def revise(self, context: Context, shelf: Shelf) -> Revision | None:
        await asyncio.sleep(self.waits)
        self.seen.append(len(context.journal))
        return self.revision


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path) as opened:
        yield opened


def told(memory: Memory, chronicle: Chronicle, campaign_id: int, node: int, lesson: str) -> None:
    """Have an experiment remembered and told."""
    candidate = Candidate(source=f"# {node}", scope=Scope.MIXER, title=f"D{node}", hypothesis="", origin="llm:m")
    memory.put_candidate(candidate)
    record = ExperimentRecord(
        node=node,
        action=Action(index=node, kind="expand", operator=Operator.DRAFT),
        operator=Operator.DRAFT,
        candidate_id=candidate.id,
        score=Score(value=-1.0, standard_error=0.01, rung=0, seeds=1),
        verdict=Verdict(outcome=Outcome.NO_DIFFERENCE, lesson=lesson),
    )
    memory.remember(campaign_id, record)
    chronicle.enter(node, remembered(record, candidate))


def test_it_is_asked_once_there_is_something_to_sort_and_only_then(memory: Memory) -> None:
    campaign = memory.start_campaign("c", TASK, 0, {})
    chronicle, librarian = Chronicle(TASK, 0), Librarian()
    lessons = Lessons(librarian, chronicle, memory, campaign.id)

    async def tell(count: int, lesson: str) -> None:
        for node in range(count - EVERY, count):
            told(memory, chronicle, campaign.id, node, lesson)
            await lessons.after(node + 1)

    asyncio.run(tell(EVERY, "Gates help."))
    assert librarian.seen == [], "one lesson needs no sorting"
    asyncio.run(tell(2 * EVERY, "Wide keys help."))
    assert librarian.seen == [2 * EVERY]


def test_what_it_says_is_told_to_planners_and_kept_in_the_memory(memory: Memory) -> None:
    campaign = memory.start_campaign("c", TASK, 0, {})
    chronicle = Chronicle(TASK, 0)
    for node, lesson in enumerate(("Gates help.", "A gate helps.", "Decay hurts.", "Decay hurts.")):
        told(memory, chronicle, campaign.id, node, lesson)
    librarian = Librarian(
        evidence=[{"lesson": 3, "experiment": 3, "supports": False}],
        merge=[{"lessons": [1, 2], "claim": "On recall, gates help."}],
        retire=[{"lesson": 3, "because": "#3 decayed and won."}],
    )
    for _ in range(2):
        asyncio.run(Lessons(librarian, chronicle, memory, campaign.id).after(EVERY))

    context = chronicle.context(Action(index=9, kind="expand", operator=Operator.DRAFT))
    assert [(claim.text, claim.supporting) for claim in context.lessons] == [("On recall, gates help.", (0, 1))]
    kept = {lesson.claim: lesson for lesson in memory.lessons(TASK.id)}
    assert next(iter(kept)) == "On recall, gates help."
    assert (len(kept["On recall, gates help."].supporting), kept["On recall, gates help."].retired) == (2, "")
    assert kept["Gates help."].retired == "merged into: On recall, gates help."
    decay = kept["Decay hurts."]
    assert (len(decay.supporting), len(decay.opposing), decay.retired) == (1, 1, "#3 decayed and won.")


def test_a_snapshot_keeps_the_lessons_that_it_was_taken_with(memory: Memory) -> None:
    chronicle = Chronicle(TASK, 0)
    chronicle.shelf = Shelf().concluded("Gates help.", 0)
    earlier = chronicle.snapshot()

    chronicle.shelf = chronicle.shelf.concluded("Decay hurts.", 1)

    assert len(earlier.shelf.standing) == 1


def test_a_campaign_that_is_stopped_waits_for_no_answer(memory: Memory) -> None:
    campaign = memory.start_campaign("c", TASK, 0, {})
    chronicle = Chronicle(TASK, 0)
    chronicle.shelf = Shelf().concluded("Gates help.", 0).concluded("Decay hurts.", 1)
    lessons = Lessons(Librarian(waits=60.0), chronicle, memory, campaign.id)

    async def work() -> None:
        waiting = asyncio.create_task(lessons.after(EVERY))
        await asyncio.sleep(0.01)
        lessons.stop()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(asyncio.wait_for(work(), 5))
