"""The locked test split: every look at it is remembered before it happens, and the second is told from the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netwright.evaluator.tasks import AnyTask
from netwright.evaluator.tasks.suite import Suite
from netwright.memory.records import Opening
from netwright.memory.store import Memory

Say = Callable[[str], None]


def open_locked(memory: Memory, campaign_id: int, task: AnyTask, wanted: Sequence[Opening], say: Say) -> None:
    """Remember the looks among `wanted` that no earlier one covers, and say what they are worth.

    Who looks at the locked split of a suite looks at those of its tasks.
    """
    for each in task.tasks if isinstance(task, Suite) else ():
        memory.put_task(each.spec)
        inner = [look.model_copy(update={"task_id": each.spec.id}) for look in wanted]
        _open(memory, campaign_id, inner, say)
    _open(memory, campaign_id, wanted, say)


def _open(memory: Memory, campaign_id: int, wanted: Sequence[Opening], say: Say) -> None:
    known = memory.openings(wanted[0].task_id)
    new = [look for look in wanted if not any(each.covers(look) for each in known)]
    designs = _designs(memory, known)
    if designs and _designs(memory, new):
        say(
            f"the locked test split of {wanted[0].task_id} was opened before, for {_count(len(designs), 'design')}"
            f"{_again(memory, new, known)}: what is tried again after a look is chosen with its help, so this look is "
            "worth less than the first"
        )
    for look in new:
        memory.put_opening(campaign_id, look)


def earlier_looks(memory: Memory, look: Opening) -> int:
    """How often the split had been opened for that candidate before it was opened for `look`."""
    mine = [each for each in memory.openings(look.task_id) if each.candidate_id == look.candidate_id]
    return next((place for place, each in enumerate(mine) if each.covers(look)), len(mine))


def opened_designs(memory: Memory, task_id: str) -> int:
    """How many designs the locked split has been opened for: each costs it some of its worth."""
    return len(_designs(memory, memory.openings(task_id)))


def _designs(memory: Memory, looks: Sequence[Opening]) -> list[str]:
    return [each for each in dict.fromkeys(look.candidate_id for look in looks) if not _is_baseline(memory, each)]


def _is_baseline(memory: Memory, candidate_id: str) -> bool:
    return memory.candidate(candidate_id).origin == "baseline"


def _again(memory: Memory, new: Sequence[Opening], known: Sequence[Opening]) -> str:
    """Which of the designs it is opened for once more, as the middle of a sentence."""
    counts = {each: sum(look.candidate_id == each for look in known) for each in _designs(memory, new)}
    parts = [f"for {memory.candidate(each).title} {_count(times, 'time')}" for each, times in counts.items() if times]
    return f" ({', '.join(parts)})" if parts else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
