"""The planner that needs no LLM: it writes sentences of the grammar and turns them into candidate files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from pydantic import ValidationError

from netwright.agents.baseline_genotypes import baseline_genotype
from netwright.agents.cost import relative_cost
from netwright.agents.differences import difference
from netwright.agents.emit import emit
from netwright.agents.genotype import Genotype
from netwright.agents.grammar import Allowance, Grammar
from netwright.agents.mutation import combine, mutate, stabilise, tune
from netwright.agents.normalise import normalised
from netwright.agents.quantities import quantities
from netwright.agents.reasons import hypothesis
from netwright.agents.simplify import fit, lighten, simplifications
from netwright.agents.sites import pick
from netwright.agents.words import title
from netwright.types import Candidate, Context, Operator, Proposal, Scope

logger = logging.getLogger(__name__)

ORIGIN = "grammar"
TRIES = 40

UNSTABLE = ("diverg", "nan", "not finite", "non-finite", "infinite", "inf ", "explod", "overflow")
TOO_HEAVY = ("timeout", "timed out", "time out", "too slow", "out of memory", "seconds")
TOO_LARGE = ("parameter", "budget", "too large", "allowance")


class GrammarPlanner:
    """Proposes by the typed grammar; the same context gives the same proposal, byte for byte."""

    name = ORIGIN

    def __init__(self, grammar: Grammar | None = None) -> None:
        self._grammar = grammar or Grammar()

    async def plan(self, context: Context) -> Sequence[Proposal]:
        """Make one proposal by the context's operator.

        Raises:
            ConfigError: the task wants whole models.
        """
        return (self.sketch(context).proposal(),)

    def sketch(self, context: Context) -> Sketch:
        """Decide what `plan` would bring for the same context, without writing it."""
        grammar = replace(self._grammar, preferences=context.preferences)
        return _Draftsman(grammar, context).sketch()

    async def repair(self, context: Context, failed: Proposal, failure: str) -> Proposal | None:
        """Calm, lighten or shrink `failed` if the failure sounds like it could help; None otherwise."""
        genotype = parsed(failed.genotype)
        if genotype is None:
            return None
        mended = _mended(genotype, failure.lower(), context)
        if mended is None or mended == genotype:
            return None
        return Sketch(mended, context, f"repaired: {difference(genotype, mended)}").proposal()


@dataclass(frozen=True)
class Sketch:
    """A design decided on but not yet written: a campaign can look at many and have one written.

    `parent` is what the design was changed from, None for a draft; `remark` is said before the difference.
    """

    design: Genotype
    context: Context
    remark: str = ""
    parent: Genotype | None = None

    @property
    def genotype(self) -> str:
        """The design as JSON; equal designs have equal texts. See `netwright.choices` for its decisions."""
        return self.design.text()

    def quantities(self) -> dict[str, float]:
        """Return the design's sizes on the context's task."""
        return quantities(self.design, self.context.task)

    def proposal(self) -> Proposal:
        """Write the design out.

        Raises:
            ConfigError: the task wants whole models.
        """
        parts = (self.remark, "" if self.parent is None else difference(self.parent, self.design))
        return Proposal(
            title=title(self.design),
            hypothesis=hypothesis(self.design),
            source=emit(self.design, self.context.task.scope),
            origin=ORIGIN,
            genotype=self.genotype,
            changed=": ".join(filter(None, parts)),
        )


class _Draftsman:
    """One proposal in the making."""

    def __init__(self, grammar: Grammar, context: Context) -> None:
        self.grammar = grammar
        self.context = context
        self.rng = np.random.default_rng([context.seed, context.attempt, context.draw])
        self.allowance = _allowance(context)
        remembered = (*context.parents, *context.best, *context.baselines, *context.failures)
        genotypes = (genotype_of(item.candidate) for item in remembered)
        self.known = {self._simple(genotype) for genotype in genotypes if genotype is not None}
        self.parents = [self._readable(item.candidate) for item in context.parents]

    def _readable(self, candidate: Candidate) -> Genotype | None:
        genotype = genotype_of(candidate)
        return None if genotype is None else self._simple(genotype)

    def _simple(self, genotype: Genotype) -> Genotype:
        return normalised(genotype, self.allowance)

    def sketch(self) -> Sketch:
        operator = self.context.operator
        if operator in (Operator.DRAFT, Operator.BASELINE):
            return self._draft("a new draft")
        parent = self.parents[0] if self.parents else None
        if parent is None:
            return self._draft(f"a new draft: {self._missing()}")
        if operator is Operator.COMBINE:
            return self._combine(parent)
        if operator is Operator.TUNE:
            changes, base = 1 + self.context.attempt, self.context.task.recipe
            return self._child(parent, lambda: tune(self.rng, parent, base, changes))
        if operator is Operator.SIMPLIFY:
            return self._simplify(parent)
        if operator is Operator.REPAIR:
            return self._repair(parent)
        return self._refine(parent)

    def _missing(self) -> str:
        if not self.context.parents:
            return f"no parent was given to {self.context.operator}"
        return f"the grammar cannot read its parent '{self.context.parents[0].candidate.title}'"

    def _draft(self, remark: str) -> Sketch:
        genotype = self._simple(self.grammar.fitting(self.rng, self.allowance))
        for _ in range(TRIES):
            if genotype not in self.known:
                break
            genotype = self._simple(self.grammar.fitting(self.rng, self.allowance))
        return Sketch(genotype, self.context, remark)

    def _refine(self, parent: Genotype, remark: str = "") -> Sketch:
        changes = 1 + int(self.rng.random() < 0.25) + self.context.attempt
        return self._child(parent, lambda: self._mutated(parent, changes), remark)

    def _mutated(self, genotype: Genotype, changes: int) -> Genotype:
        for _ in range(changes):
            genotype = mutate(self.rng, genotype, self.grammar)
        return genotype

    def _simplify(self, parent: Genotype) -> Sketch:
        if not simplifications(parent):
            return self._refine(parent, "nothing is left to remove, so refined instead")
        return self._child(parent, lambda: self._simplified(parent))

    def _simplified(self, genotype: Genotype) -> Genotype:
        # Ever simpler genotypes soon coincide: from the second attempt on, what is left is changed as well.
        for _ in range(1 + min(1, self.context.attempt)):
            smaller = simplifications(genotype)
            if smaller:
                genotype = pick(self.rng, smaller)
        return self._mutated(genotype, max(0, self.context.attempt - 1))

    def _repair(self, parent: Genotype) -> Sketch:
        failure = self.context.parents[0].failure.lower()
        mended = _mended(parent, failure, self.context) or stabilise(parent, self.context.task.recipe)
        mended = self._simple(mended)
        first = self.context.attempt == self.context.draw == 0
        if first and mended != parent and self._fits(mended, parent):
            return Sketch(mended, self.context, parent=parent)
        return self._refine(parent)

    def _combine(self, first: Genotype) -> Sketch:
        others = [genotype for genotype in self.parents[1:] if genotype is not None and genotype != first]
        if not others:
            return self._refine(first, "only one parent could be read, so refined instead")
        second = others[0]

        def cross() -> Genotype:
            return self._mutated(combine(self.rng, first, second, self.grammar), self.context.attempt)

        return self._child(first, cross, f"crossed with '{title(second)}'")

    def _child(self, parent: Genotype, make: Callable[[], Genotype], remark: str = "") -> Sketch:
        """Make children until one is new and fits; shrink the last if none does, and draft if that fails too."""
        child = parent
        for _ in range(TRIES):
            child = self._simple(make())
            if self._is_new(child) and self._fits(child, parent):
                return Sketch(child, self.context, remark, parent)
        smaller = fit(child, self.allowance)
        if smaller is not None and self._is_new(smaller := self._simple(smaller)):
            return Sketch(smaller, self.context, remark, parent)
        return self._draft("a new draft: no child of the parent was new and within the size allowance")

    def _is_new(self, genotype: Genotype) -> bool:
        return genotype not in self.known

    def _fits(self, child: Genotype, parent: Genotype) -> bool:
        """Is the child within the allowance? It may be as slow as its parent was."""
        if self.allowance.size(child) > self.allowance.parameters:
            return False
        return relative_cost(child) <= max(self.allowance.cost, relative_cost(parent))


def genotype_of(candidate: Candidate) -> Genotype | None:
    """Read a candidate's genotype: its own, or for a baseline the one that stands for it; None for others."""
    if candidate.genotype is not None:
        return parsed(candidate.genotype)
    return baseline_genotype(candidate.title) if candidate.origin == "baseline" else None


@lru_cache(maxsize=4096)
def parsed(text: str | None) -> Genotype | None:
    """Read a genotype as it is remembered; None where it is none, or no sentence of this grammar."""
    if text is None:
        return None
    try:
        return Genotype.model_validate_json(text)
    except ValidationError:
        logger.warning("a genotype in the memory is not a sentence of this grammar: %.80s", text)
        return None


def _allowance(context: Context) -> Allowance:
    task = context.task
    parameters = 6 * task.dim**2 if context.mixer_parameters is None else context.mixer_parameters
    if context.mixer_parameters is None and task.scope is Scope.BLOCK:
        parameters += 5 * task.dim**2
    return Allowance(
        parameters=parameters,
        scope=task.scope,
        dim=task.dim,
        heads=task.heads,
        layers=task.layers,
        max_len=task.max_len,
    )


def _mended(genotype: Genotype, failure: str, context: Context) -> Genotype | None:
    if any(word in failure for word in UNSTABLE):
        return stabilise(genotype, context.task.recipe)
    if any(word in failure for word in TOO_HEAVY):
        return lighten(genotype, _allowance(context))
    if any(word in failure for word in TOO_LARGE):
        allowance = _allowance(context)
        tighter = replace(allowance, parameters=min(allowance.parameters, int(0.8 * allowance.size(genotype))))
        return fit(genotype, tighter)
    return None
