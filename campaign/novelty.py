"""Which designs a campaign has tried, so that none of them is trained twice under another name.

    source   the same file
    code     the same syntax tree, but for names, comments and layout
    function the same outputs and gradients: its process's own account, so it can cost a design its training and no more
    near     almost the same structure: trained all the same, and counted

What an earlier campaign trained is `remembered`: its trials are not run again, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from netwright.campaign.board import Board
from netwright.campaign.readings import structure_in
from netwright.distance import distance
from netwright.evaluator.fingerprint import fingerprint
from netwright.memory.store import Memory
from netwright.portrait import Portrait
from netwright.types import Candidate, Operator, Structure, TaskSpec

NEAR = 0.02
"""Designs at most so far apart are counted as near; see docs/novelty.md for what is how far apart."""


@dataclass(frozen=True)
class _Known:
    """A design that was accepted; `size` is the sum of its counts."""

    owner: int
    structure: Structure
    size: float


class Novelty:
    """Knows designs by their owners: the actions that were first to propose them, or baselines -1, -2, ..."""

    def __init__(self, memory: Memory, campaign_id: int, task: TaskSpec, tier: str, board: Board) -> None:
        self._memory, self._campaign_id, self._board = memory, campaign_id, board
        self._task, self._tier = task, tier
        self._sources: dict[str, int] = {}
        self._codes: dict[str, int] = {}
        self._functions: dict[str, int] = {}
        self._accepted: list[_Known] = []

    def know(self, candidate: Candidate, owner: int) -> None:
        """Take a design as that of `owner`, unless another had it before."""
        self._claim(candidate, owner)
        portrait = self._memory.portrait(candidate.id, self._task.id, tier=self._tier)
        if portrait is not None and portrait.function is not None:
            self._functions.setdefault(portrait.function, owner)
        self._accepted.append(self._known(candidate, owner))

    def twin(self, candidate: Candidate, action: int) -> int | None:
        """Return whose design the text is; None where `action` is the first to propose it, and now its owner."""
        same_source = candidate.id in self._sources
        owner = self._claim(candidate, action)
        return self._noted(candidate, action, "source" if same_source else "code", owner)

    def double(self, candidate: Candidate, action: int, portrait: Portrait) -> int | None:
        """Return who has a design that computes the same, None where nobody is known to."""
        if portrait.function is None:
            return None
        owner = self._functions.setdefault(portrait.function, action)
        return self._noted(candidate, action, "function", owner)

    def accept(self, candidate: Candidate, action: int, operator: Operator) -> None:
        """Take a design that will be trained; note it as near where it hardly differs from one accepted earlier.

        What changes the recipe alone is meant to be near.
        """
        new = self._known(candidate, action)
        if operator is not Operator.TUNE:
            near = next((known for known in self._accepted if known.owner != action and _is_near(known, new)), None)
            if near is not None:
                self._noted(candidate, action, "near", near.owner)
        self._accepted.append(new)

    def recall(self, candidate: Candidate, action: int) -> None:
        """Note a design that an earlier campaign, or `evaluate`, has trained: its trials are answered from memory."""
        if self._memory.trained_before(self._campaign_id, candidate.id, self._task.id):
            self._count(candidate, action, "remembered", action)

    def _claim(self, candidate: Candidate, owner: int) -> int:
        self._sources.setdefault(candidate.id, owner)
        try:
            return self._codes.setdefault(fingerprint(candidate.source), owner)
        except (SyntaxError, ValueError, RecursionError):
            return owner  # the gates say what is wrong with a file that does not parse

    def _noted(self, candidate: Candidate, action: int, kind: str, owner: int) -> int | None:
        if owner == action:
            return None
        self._count(candidate, action, kind, owner)
        return owner

    def _count(self, candidate: Candidate, action: int, kind: str, owner: int) -> None:
        if self._memory.put_duplicate(self._campaign_id, action, candidate.id, kind, owner):
            self._board.duplicates[kind] += 1

    def _known(self, candidate: Candidate, owner: int) -> _Known:
        structure = structure_in(self._memory, candidate, self._task)
        return _Known(owner, structure, sum(structure.counts.values()))


class RecordedNovelty:
    """Says of each proposal of a campaign that is repeated what was found when it was first made.

    Which of two equal proposals was the first hangs on who was quicker, so it is not found out anew. What an earlier
    campaign trained is not counted: that is all of it.
    """

    def __init__(self, memory: Memory, source_id: int, campaign_id: int, board: Board) -> None:
        self._memory, self._campaign_id, self._board = memory, campaign_id, board
        self._found: dict[tuple[int, str], list[tuple[str, int]]] = {}
        for action, candidate_id, kind, owner in memory.known_proposals(source_id):
            self._found.setdefault((action, candidate_id), []).append((kind, owner))

    def know(self, candidate: Candidate, owner: int) -> None:
        """Nothing: what was known is recorded."""

    def twin(self, candidate: Candidate, action: int) -> int | None:
        """See `Novelty`."""
        return self._noted(candidate, action, "source", "code")

    def double(self, candidate: Candidate, action: int, portrait: Portrait) -> int | None:
        """See `Novelty`."""
        return self._noted(candidate, action, "function")

    def accept(self, candidate: Candidate, action: int, operator: Operator) -> None:
        """See `Novelty`."""
        self._noted(candidate, action, "near")

    def recall(self, candidate: Candidate, action: int) -> None:
        """Nothing: all trials are answered from memory."""

    def _noted(self, candidate: Candidate, action: int, *kinds: str) -> int | None:
        for kind, owner in self._found.get((action, candidate.id), ()):
            if kind in kinds:
                if self._memory.put_duplicate(self._campaign_id, action, candidate.id, kind, owner):
                    self._board.duplicates[kind] += 1
                return owner
        return None


def _is_near(one: _Known, other: _Known) -> bool:
    """Whether two designs are near; most are told apart by their sizes, which bound the distance of their counts."""
    smaller, larger = sorted((one.size, other.size))
    if not smaller or 1 - smaller / larger > 2 * NEAR:
        return False
    return distance(one.structure, other.structure) <= NEAR
