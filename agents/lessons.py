"""The lessons of a campaign: what critics conclude, and what a librarian makes of it by later evidence. Pure.

Whatever a librarian says is carried out only as far as it holds: it names lessons that stand and experiments that were
told, and it retires only what a later experiment speaks against. What the evidence refutes is retired in any case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from netwright.agents.replies import Sentence
from netwright.confidence import REFUTED_BELOW, confidence
from netwright.types import Claim, claim_key


def _as_number(value: object) -> object:
    """Models write `#12` or `L3` for 12 and 3, as they read it."""
    return value.strip().lstrip("#Ll") if isinstance(value, str) else value


Number = Annotated[int, BeforeValidator(_as_number)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Evidence(_Said):
    """Experiment `experiment` speaks for lesson `lesson`, or against it."""

    lesson: Number
    experiment: Number
    supports: bool


class New(_Said):
    """A lesson that several experiments teach together."""

    claim: Annotated[Sentence, Field(min_length=1)]
    supporting: list[Number]
    opposing: list[Number] = []


class Merge(_Said):
    """Lessons that say the same, and the claim that says it once."""

    lessons: list[Number]
    claim: Annotated[Sentence, Field(min_length=1)]


class Retirement(_Said):
    """A lesson that later evidence speaks against, and why it no longer stands."""

    lesson: Number
    because: Annotated[Sentence, Field(min_length=1)]


class Revision(_Said):
    """What a librarian wants done, in this order."""

    evidence: list[Evidence] = []
    new: list[New] = []
    merge: list[Merge] = []
    retire: list[Retirement] = []


@dataclass(frozen=True)
class Lesson:
    """A claim with the experiments for it and against it, in the order in which they came to it.

    `retired` says why it stands no longer; empty while it does.
    """

    number: int
    text: str
    supporting: tuple[int, ...] = ()
    opposing: tuple[int, ...] = ()
    retired: str = ""

    @property
    def confidence(self) -> float:
        """How far to trust it: see `confidence`."""
        return confidence(len(self.supporting), len(self.opposing))

    def claim(self) -> Claim:
        return Claim(text=self.text, supporting=self.supporting, opposing=self.opposing)

    def with_evidence(self, experiment: int, *, supports: bool) -> Self:
        """The lesson with an experiment on one side, and no longer on the other."""
        sides = {True: self.supporting, False: self.opposing}
        sides = {side: tuple(each for each in nodes if each != experiment) for side, nodes in sides.items()}
        sides[supports] = (*sides[supports], experiment)
        return replace(self, supporting=sides[True], opposing=sides[False])


@dataclass(frozen=True)
class Shelf:
    """All lessons of a campaign, by number from 1; each change makes a new shelf."""

    lessons: tuple[Lesson, ...] = ()

    @property
    def standing(self) -> tuple[Lesson, ...]:
        """The lessons that were not retired: those with most for them first, then those that were last spoken for."""
        return tuple(sorted((each for each in self.lessons if not each.retired), key=_weight))

    def concluded(self, text: str, experiment: int) -> Shelf:
        """The shelf with what a critic concluded from an experiment; the same claim again is evidence for it."""
        known = next((each for each in self.lessons if claim_key(each.text) == claim_key(text)), None)
        if known is None:
            return self._with(Lesson(len(self.lessons) + 1, text, (experiment,)))
        return self._with(known.with_evidence(experiment, supports=True))

    def revised(self, revision: Revision, told: Collection[int]) -> Shelf:
        """The shelf after a librarian's revision, as far as that holds; `told` are the experiments there are."""
        shelf = self
        for evidence in revision.evidence:
            lesson = shelf._find(evidence.lesson)
            if lesson is not None and evidence.experiment in told:
                shelf = shelf._with(lesson.with_evidence(evidence.experiment, supports=evidence.supports))
        for new in revision.new:
            shelf = shelf._added(new, told)
        for merge in revision.merge:
            shelf = shelf._merged(merge)
        for retirement in revision.retire:
            lesson = shelf._find(retirement.lesson)
            if lesson is not None and is_contradicted(lesson):
                shelf = shelf._with(replace(lesson, retired=retirement.because))
        return shelf._without_refuted()

    def _without_refuted(self) -> Shelf:
        """Retire what the evidence refutes, whether or not the librarian says so."""
        shelf = self
        for lesson in self.lessons:
            if not lesson.retired and lesson.confidence < REFUTED_BELOW:
                told = f"refuted: {len(lesson.supporting)} for it, {len(lesson.opposing)} against it"
                shelf = shelf._with(replace(lesson, retired=told))
        return shelf

    def _added(self, new: New, told: Collection[int]) -> Shelf:
        shelf = self
        supporting = [each for each in new.supporting if each in told]
        for experiment in supporting:
            shelf = shelf.concluded(new.claim, experiment)
        lesson = next((each for each in shelf.lessons if claim_key(each.text) == claim_key(new.claim)), None)
        if lesson is None:
            return self
        for experiment in new.opposing:
            if experiment in told and experiment not in supporting:
                lesson = lesson.with_evidence(experiment, supports=False)
        return shelf._with(lesson)

    def _merged(self, merge: Merge) -> Shelf:
        """Put one lesson with the evidence of all in their place, which are retired."""
        same = [lesson for number in dict.fromkeys(merge.lessons) if (lesson := self._find(number)) is not None]
        if len(same) < 2:
            return self
        opposing = _union(each.opposing for each in same)
        supporting = tuple(each for each in _union(each.supporting for each in same) if each not in opposing)
        known = next((each for each in self.lessons if claim_key(each.text) == claim_key(merge.claim)), None)
        number = len(self.lessons) + 1 if known is None else known.number
        shelf = self._with(Lesson(number, merge.claim, supporting, opposing))
        for each in same:
            if each.number != number:
                shelf = shelf._with(replace(each, retired=f"merged into: {merge.claim}"))
        return shelf

    def _find(self, number: int) -> Lesson | None:
        """The lesson of that number, if it stands."""
        return next((each for each in self.lessons if each.number == number and not each.retired), None)

    def _with(self, lesson: Lesson) -> Shelf:
        return Shelf((*self.lessons[: lesson.number - 1], lesson, *self.lessons[lesson.number :]))


def is_contradicted(lesson: Lesson) -> bool:
    """Whether an experiment speaks against it that came later than the first that spoke for it."""
    return any(experiment > min(lesson.supporting, default=-1) for experiment in lesson.opposing)


def _weight(lesson: Lesson) -> tuple[int, int]:
    return len(lesson.opposing) - len(lesson.supporting), -max(lesson.supporting, default=-1)


def _union(groups: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(each for group in groups for each in group))
