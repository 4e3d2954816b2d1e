"""Which of a campaign's designs are most like one in question, by what they are made of and by what is said of them.

Only what the context itself tells is looked at, so whoever is asked again is shown the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from netwright.agents.symptoms import starting_points
from netwright.campaign.readings import structure_in
from netwright.distance import distance
from netwright.memory.store import Memory
from netwright.memory.text_index import TextIndex
from netwright.types import Candidate, Context, Remembered, Structure

BY_STRUCTURE, BY_WORDS = 2, 2
AMONG = 400
"""Designs that are looked at, the latest: a distance takes some 25 us."""

_WEIGHTS = {"title": 3.0, "hypothesis": 1.0, "changed": 1.0}


class Neighbours:
    """Finds neighbours among the designs of the journal; baselines are told to everybody anyway."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._structures: dict[str, Structure] = {}

    def of(self, context: Context, subject: Candidate | None = None) -> tuple[Remembered, ...]:
        """Return what is most like `subject`, else like the first parent, else like where a draft starts.

        Nearest first: by structure where there is one to compare with, then by words. What the context shows as
        ancestor, sibling or parent is left out, and so is the subject itself.
        """
        latest = {told.known.node: told.known for told in context.journal}
        designs = [known for node, known in latest.items() if (node or 0) >= 0][-AMONG:]
        shown = {known.node for known in (*context.parents, *context.path, *context.siblings)}
        subject = subject or next((parent.candidate for parent in context.parents), None)
        if subject is None:
            return tuple(_by_words(" ".join(starting_points(context)), designs, shown)[: BY_STRUCTURE + BY_WORDS])
        shown |= {known.node for known in designs if known.candidate.id == subject.id}
        near = self._by_structure(context, subject, [known for known in designs if known.node not in shown])
        shown |= {known.node for known in near}
        alike = _by_words(f"{subject.title} {subject.hypothesis}", designs, shown)
        return (*near, *alike[:BY_WORDS])

    def _by_structure(self, context: Context, subject: Candidate, pool: Sequence[Remembered]) -> list[Remembered]:
        mine = self._structure(context, subject)
        return sorted(pool, key=lambda known: distance(mine, self._structure(context, known.candidate)))[:BY_STRUCTURE]

    def _structure(self, context: Context, candidate: Candidate) -> Structure:
        if candidate.id not in self._structures:
            self._structures[candidate.id] = structure_in(self._memory, candidate, context.task)
        return self._structures[candidate.id]


def _by_words(query: str, designs: Sequence[Remembered], shown: Collection[int | None]) -> list[Remembered]:
    """Find among the designs, and leave out those shown: so one index serves all steps that know the same designs."""
    rows = tuple(
        (known.candidate.title, known.candidate.hypothesis, known.verdict.changed if known.verdict else "")
        for known in designs
    )
    found = (designs[number] for number in _index(rows).search(query))
    return [known for known in found if known.node not in shown]


@lru_cache(maxsize=8)
def _index(rows: tuple[tuple[str, str, str], ...]) -> TextIndex:
    return TextIndex(_WEIGHTS, rows)
