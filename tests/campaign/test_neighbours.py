"""Which remembered designs are like the one in question; whoever is asked again is shown the same."""

from __future__ import annotations

from pathlib import Path

from netwright.campaign.chronicle import Chronicle
from netwright.campaign.neighbours import BY_STRUCTURE, Neighbours
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.tasks import load_task
from netwright.memory.store import Memory
from netwright.types import Action, Candidate, Operator, Remembered, Score

TASK = load_task("recall").spec
DESIGNS = {candidate.title: candidate for candidate in baselines_for(TASK, "all")}
DELTA, GATED_DELTA = (
    next(design for title, design in DESIGNS.items() if title.startswith(start))
    for start in ("DeltaNet", "Gated DeltaNet (delta")
)


def told(*designs: Candidate) -> Chronicle:
    chronicle = Chronicle(TASK, seed=0)
    for node, design in enumerate(designs):
        score = Score(value=-1.0, standard_error=0.1, rung=0, seeds=1)
        known = Remembered(candidate=design, operator=Operator.DRAFT, score=score, verdict=None)
        chronicle.enter(node, known)
    return chronicle


def action(*parents: int) -> Action:
    return Action(index=99, kind="expand", operator=Operator.REFINE, parents=parents)


def remembering(home: Path) -> Memory:
    memory = Memory.open(home)
    for design in DESIGNS.values():
        memory.put_candidate(design)
    return memory


def test_the_nearest_by_structure_come_first_and_nothing_is_shown_twice(tmp_path: Path) -> None:
    rest = [design for design in DESIGNS.values() if design not in (DELTA, GATED_DELTA)]
    chronicle = told(*rest, GATED_DELTA, DELTA)
    with remembering(tmp_path) as memory:
        context = chronicle.context(action(len(rest) + 1))

        found = Neighbours(memory).of(context)

    nodes = [known.node for known in found]
    assert GATED_DELTA in [known.candidate for known in found[:BY_STRUCTURE]]
    assert len(set(nodes)) == len(nodes) and len(rest) + 1 not in nodes
    assert all(known.candidate.id != DELTA.id for known in found)


def test_a_draft_is_shown_what_speaks_of_where_it_starts(tmp_path: Path) -> None:
    context = told(*DESIGNS.values()).context(action()).model_copy(update={"operator": Operator.DRAFT})
    with remembering(tmp_path) as memory:
        assert Neighbours(memory).of(context)


def test_what_was_told_or_written_later_changes_nothing(tmp_path: Path) -> None:
    designs = list(DESIGNS.values())
    chronicle = told(*designs[:6])
    then = chronicle.snapshot()
    with remembering(tmp_path) as memory:
        before = Neighbours(memory).of(then.context(action(2)), DELTA)
        for node, design in enumerate(designs[6:], start=6):
            known = Remembered(candidate=design, operator=Operator.DRAFT, score=None, verdict=None)
            chronicle.enter(node, known)
        Neighbours(memory).of(chronicle.context(action(2)), DELTA)

        assert Neighbours(memory).of(then.context(action(2)), DELTA) == before


def test_where_nothing_is_known_nothing_is_near(tmp_path: Path) -> None:
    with remembering(tmp_path) as memory:
        assert Neighbours(memory).of(told().context(action()), DELTA) == ()
