"""What an action of the search could become, shown before anything is written, checked or trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from netwright.agents.base import Planner, SketchingPlanner
from netwright.agents.grammar_planner import genotype_of
from netwright.campaign.chronicle import Chronicle
from netwright.evaluator.fingerprint import fingerprint
from netwright.evaluator.structure import structure_of
from netwright.search.policy import Sketch, Sketcher, no_sketches
from netwright.types import Action, Candidate, Context, Structure

DRAWS_PER_SKETCH = 3
"""How many proposals are drawn for each sketch that is wanted, as some are known designs or the same one again."""


@dataclass(frozen=True)
class _Page:
    fingerprint: str
    structure: Structure


class Sketchbook:
    """Asks a planner that decides before it writes for its decisions; of any other it has nothing to show.

    What counts as new depends on the actions asked and the results told so far, and on nothing that happens meanwhile:
    a campaign that is resumed sees the same sketches.
    """

    def __init__(self, planner: Planner) -> None:
        self._planner = planner if isinstance(planner, SketchingPlanner) else None
        self._pages: dict[str, _Page] = {}
        self._structures: dict[str, Structure] = {}
        self._known: set[str] = set()

    def sketcher(self, chronicle: Chronicle) -> Sketcher:
        """What the search may ask for sketches while the campaign knows what `chronicle` holds."""
        return no_sketches if self._planner is None else partial(self._sketches, chronicle)

    def claim(self, chronicle: Chronicle, action: Action) -> Structure | None:
        """Take the sketch that the search chose as known from now on; its structure, None where there is no sketch."""
        if self._planner is None or action.kind != "expand":
            return None
        page = self._page(chronicle.context(action))
        self._known.add(page.fingerprint)
        return page.structure

    def know(self, candidate: Candidate) -> Structure:
        """Take a design as known from now on, and return what it is made of."""
        if candidate.id not in self._structures:
            genotype = genotype_of(candidate)
            page = _page_of(candidate.source, genotype.text() if genotype else None)
            self._known.add(page.fingerprint)
            self._structures[candidate.id] = page.structure
        return self._structures[candidate.id]

    def _sketches(self, chronicle: Chronicle, action: Action, count: int) -> Sequence[Sketch]:
        context = chronicle.context(action)
        found: dict[str, Sketch] = {}
        for draw in range(DRAWS_PER_SKETCH * count):
            page = self._page(context.model_copy(update={"draw": draw}))
            if page.fingerprint not in self._known:
                found.setdefault(page.fingerprint, Sketch(draw, page.structure))
            if len(found) == count:
                break
        return tuple(found.values())

    def _page(self, context: Context) -> _Page:
        assert self._planner is not None
        sketch = self._planner.sketch(context)
        if sketch.genotype not in self._pages:
            self._pages[sketch.genotype] = _page_of(sketch.proposal().source, sketch.genotype)
        return self._pages[sketch.genotype]


def _page_of(source: str, genotype: str | None) -> _Page:
    """Raises nothing: a file that does not parse is nobody's twin, and its gates say what is wrong with it."""
    try:
        mark = fingerprint(source)
    except (SyntaxError, ValueError, RecursionError):
        mark = source
    return _Page(mark, structure_of(source, genotype))
