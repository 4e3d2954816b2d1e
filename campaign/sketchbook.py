"""What an action of the search could become, shown before anything is written, checked or trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from netwright.agents.base import Planner, SketchingPlanner
from netwright.agents.grammar_planner import genotype_of
from netwright.agents.quantities import quantities
from netwright.campaign.chronicle import Chronicle
from netwright.choices import flattened, role
from netwright.search.policy import Sketch, Sketcher, no_sketches
from netwright.types import Action, Candidate, Structure, TaskSpec

Reader = Callable[[Candidate, TaskSpec], Structure]
"""What reads of a source what a design is made of; see `readings.trained_structure`."""

DRAWS_PER_SKETCH = 3
"""How many designs are drawn for each sketch that is wanted, as some are known or the same one again."""


class Sketchbook:
    """Asks a planner that decides before it writes for its decisions; of any other it has nothing to show.

    Under the former, a design is made of its decisions, which cost next to nothing to read; under the latter of what
    `reader` finds in its source. What counts as new depends on the actions asked and the results told so far, and on
    nothing that happens meanwhile: a campaign that is resumed sees the same sketches.
    """

    def __init__(self, planner: Planner, task: TaskSpec, reader: Reader) -> None:
        self._planner = planner if isinstance(planner, SketchingPlanner) else None
        self._task = task
        self._reader = reader
        self._structures: dict[str, Structure | None] = {}
        self._known: set[str] = set()

    def sketcher(self, chronicle: Chronicle) -> Sketcher:
        """What the search may ask for sketches while the campaign knows what `chronicle` holds."""
        return no_sketches if self._planner is None else partial(self._sketches, chronicle)

    def claim(self, chronicle: Chronicle, action: Action) -> Structure | None:
        """Take what `action` will become as known from now on; its structure, None where there is no sketch of it."""
        if self._planner is None or action.kind != "expand":
            return None
        sketch = self._planner.sketch(chronicle.context(action))
        self._known.add(sketch.genotype)
        return _structure_of(sketch.genotype, sketch.quantities())

    def know(self, candidate: Candidate) -> Structure | None:
        """Take a design as known from now on, and return what it is made of; see `read`."""
        if candidate.id not in self._structures:
            genotype = genotype_of(candidate)
            if genotype is not None:
                self._known.add(genotype.text())
            self._structures[candidate.id] = self.read(candidate, self._task)
        return self._structures[candidate.id]

    def read(self, candidate: Candidate, task: TaskSpec) -> Structure | None:
        """Return what a design for `task` is made of, as sketches are told: these alone compare.

        None under a planner that sketches where its decisions are not known.
        """
        if self._planner is None:
            return self._reader(candidate, task)
        genotype = genotype_of(candidate)
        return None if genotype is None else _structure_of(genotype.text(), quantities(genotype, task))

    def _sketches(self, chronicle: Chronicle, action: Action, count: int) -> Sequence[Sketch]:
        assert self._planner is not None
        context = chronicle.context(action)
        found: dict[str, Sketch] = {}
        for draw in range(DRAWS_PER_SKETCH * count):
            sketch = self._planner.sketch(context.model_copy(update={"draw": draw}))
            genotype = sketch.genotype
            if genotype not in self._known and genotype not in found:
                found[genotype] = Sketch(draw, _structure_of(genotype, sketch.quantities()))
            if len(found) == count:
                break
        return tuple(found.values())


def _structure_of(genotype: str, quantities: Mapping[str, float]) -> Structure:
    """What a design is made of as its decisions say: each at its place, how often each was taken anywhere, and sizes.

    Depth is how deep the decisions are nested.
    """
    choices = flattened(genotype)
    counts = Counter(f"{role(place)}={choice}" for place, choice in choices.items())
    depth = float(max((place.count(".") for place in choices), default=0))
    return Structure(
        choices=choices,
        counts={name: float(count) for name, count in counts.items()},
        numbers={"depth": depth, **quantities},
    )
