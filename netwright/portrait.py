"""What a candidate's own process showed of it: which operations it carries out, and what function it computes.

Advisory, like all that comes from there: it serves to recognise and to draw designs, and decides no score.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from netwright.types import Frozen

NODES_MAX, EDGES_MAX = 800, 4000

Size = Annotated[int, Field(ge=0, le=1 << 40)]
Label = Annotated[str, Field(max_length=40, pattern=r"^[\x20-\x7e]*$")]
Path = Annotated[str, Field(max_length=80, pattern=r"^[\x20-\x7e]*$")]


class TracedGraph(Frozen):
    """Operations of one call in the order in which they ran; edge (i, j): j works on what i gave.

    `shapes` are those of the first tensor that each gave. `owners` says which of the `modules`, by their paths ("" is
    the whole), each ran in; both are empty where that was not noted.
    """

    labels: Annotated[tuple[Label, ...], Field(max_length=NODES_MAX + 8)]
    shapes: Annotated[tuple[Annotated[tuple[Size, ...], Field(max_length=12)], ...], Field(max_length=NODES_MAX + 8)]
    edges: Annotated[tuple[tuple[int, int], ...], Field(max_length=EDGES_MAX)]
    modules: Annotated[tuple[Path, ...], Field(max_length=NODES_MAX + 8)] = ()
    owners: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=NODES_MAX + 8)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> TracedGraph:
        n = len(self.labels)
        if len(self.shapes) != n or not all(0 <= i < j < n for i, j in self.edges):
            raise ValueError("expected a shape for each operation, and edges from earlier to later ones")
        if len(self.owners) not in (0, n) or any(owner >= len(self.modules) for owner in self.owners):
            raise ValueError("expected a module for each operation, or for none")
        return self


class Portrait(Frozen):
    """`function` is the same for designs that compute the same from the same start, by whatever code; None: unknown.

    `trace` is None where it was not to be had, or was too large.
    """

    function: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    trace: TracedGraph | None = None
