"""What a campaign knows at a given action, in the order in which the search was told.

The chronicle changes only when the scheduler tells the search a result, so a context built from it is the same
whatever finished meanwhile: that is why a resumed campaign takes the same way as an undisturbed one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from netwright.agents.journal_text import journal_line
from netwright.agents.lessons import Lesson, Revision, Shelf
from netwright.evaluator.selection import by_expected_loss
from netwright.evaluator.statistics import NoiseFloor
from netwright.search.policy import Preferences
from netwright.types import Action, Candidate, Context, Operator, Remembered, Score, TaskSpec, Told

BEST_SHOWN = 3
FAILURES_SHOWN = 4
LESSONS_SHOWN = 12
ANCESTORS_SHOWN = 6
SIBLINGS_SHOWN = 8


class Chronicle:
    """Nodes by id with what is remembered of each; baselines have negative ids.

    `designs` is how many trained ones the campaign's budget has.
    """

    def __init__(
        self, task: TaskSpec, seed: int, mixer_parameters: int | None = None, designs: int | None = None
    ) -> None:
        self.task = task
        self.noise: NoiseFloor | None = None
        self.preferences: Preferences = {}
        self.shelf = Shelf()
        self._seed = seed
        self._mixer_parameters = mixer_parameters
        self._designs = designs
        self._nodes: dict[int, Remembered] = {}
        self._first_scores: dict[int, Score] = {}
        self._journal: tuple[Told, ...] = ()

    def snapshot(self) -> Chronicle:
        """The chronicle as it stands now, whatever is entered later."""
        copy = Chronicle(self.task, self._seed, self._mixer_parameters, self._designs)
        copy.noise, copy.preferences, copy.shelf = self.noise, self.preferences, self.shelf
        copy._nodes, copy._first_scores = dict(self._nodes), dict(self._first_scores)
        copy._journal = self._journal
        return copy

    def enter(self, node: int, remembered: Remembered, parents: tuple[int, ...] = ()) -> None:
        """Take in what was learned of `node`; a promotion replaces the earlier entry, and its parents stay."""
        known = self._nodes.get(node)
        parents = known.parents if known is not None else parents
        remembered = remembered.model_copy(update={"node": node, "parents": parents})
        if node >= 0 or known is not None:
            told = Told(known=remembered, line=journal_line(remembered, again=known is not None))
            self._journal = (*self._journal, told)
        self._nodes[node] = remembered
        if remembered.score and not remembered.failure:
            self._first_scores.setdefault(node, remembered.score)
        if node >= 0 and remembered.score and remembered.verdict and remembered.verdict.lesson:
            self.shelf = self.shelf.concluded(remembered.verdict.lesson, node)

    def revise(self, revision: Revision) -> tuple[Lesson, ...]:
        """Take in what a librarian makes of the lessons; return those that are not as they were."""
        before = set(self.shelf.lessons)
        scored = [node for node, known in self._nodes.items() if node >= 0 and known.score]
        self.shelf = self.shelf.revised(revision, scored)
        return tuple(lesson for lesson in self.shelf.lessons if lesson not in before)

    def node(self, node: int) -> Remembered:
        return self._nodes[node]

    def best_baseline(self, rung: int | None = None) -> Remembered | None:
        """The baseline with the best score (at exactly `rung`, if given)."""
        return _best((known for node, known in self._nodes.items() if node < 0), rung)

    def finalists(self, designs: int, baselines: int) -> tuple[int, ...]:
        """The nodes of both kinds to be expected most of after their first score: worth a training at the highest rung.

        Each kind is shrunken towards its own mean; a result that is noisier than others has to be better by more.
        """
        first = dict(sorted(self._first_scores.items()))
        ranked = [
            list(by_expected_loss({node: score for node, score in first.items() if (node >= 0) is made}))
            for made in (True, False)
        ]
        return (*ranked[0][:designs], *ranked[1][:baselines])

    def outcomes(self) -> list[tuple[Candidate, Score | None]]:
        """Every design and baseline in the order it was told, with its first score; None where it failed."""
        return [(known.candidate, self._first_scores.get(node)) for node, known in self._nodes.items()]

    def context(self, action: Action, attempt: int = 0) -> Context:
        """What is told of `action`: of a promotion, what was told of the design that is promoted."""
        operator, parents = action.operator or Operator.DRAFT, action.parents
        if action.kind == "promote":
            known = self._nodes[action.parents[0]]
            operator, parents = known.operator, known.parents
        scored = [known for node, known in self._nodes.items() if node >= 0 and known.score]
        failed = [known for node, known in self._nodes.items() if node >= 0 and known.failure]
        return Context(
            task=self.task,
            operator=operator,
            parents=tuple(self._nodes[parent] for parent in parents),
            journal=self._journal,
            path=self._path(parents),
            siblings=self._siblings(parents, action),
            trained=len(scored),
            designs=action.designs or self._designs,
            best=tuple(sorted(scored, key=_standing, reverse=True)[:BEST_SHOWN]),
            baselines=tuple(self._nodes[node] for node in sorted(self._nodes, reverse=True) if node < 0),
            failures=tuple(failed[-FAILURES_SHOWN:]),
            lessons=tuple(lesson.claim() for lesson in self.shelf.standing[:LESSONS_SHOWN]),
            seed=derived_seed(self._seed, action.index),
            attempt=attempt,
            draw=action.draw,
            action=action.index,
            mixer_parameters=self._mixer_parameters,
            preferences=self.preferences,
            model=action.model,
        )

    def _path(self, parents: tuple[int, ...]) -> tuple[Remembered, ...]:
        """The nearest ancestors of the first parent, root first."""
        path: list[Remembered] = []
        parents = self._nodes[parents[0]].parents if parents else ()
        while parents and len(path) < ANCESTORS_SHOWN:
            path.append(self._nodes[parents[0]])
            parents = path[-1].parents
        return tuple(reversed(path))

    def _siblings(self, parents: tuple[int, ...], action: Action) -> tuple[Remembered, ...]:
        """The latest children of the parents, in the order told; a promoted design is no sibling of itself."""
        itself = action.parents[:1] if action.kind == "promote" else ()
        found = [
            known
            for node, known in self._nodes.items()
            if node not in itself and not set(known.parents).isdisjoint(parents)
        ]
        return tuple(found[-SIBLINGS_SHOWN:])


def derived_seed(seed: int, index: int) -> int:
    """A 63-bit seed for action `index` that shares nothing with its neighbours'."""
    digest = hashlib.sha256(f"{seed}:{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _standing(known: Remembered) -> tuple[int, float]:
    score = known.score
    return (score.rung, score.value) if score else (-1, 0.0)


def _best(candidates: Iterable[Remembered], rung: int | None) -> Remembered | None:
    eligible = [known for known in candidates if known.score and rung in (None, known.score.rung)]
    return max(eligible, key=_standing, default=None)
