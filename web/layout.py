"""Where the nodes of a lineage stand: from left to right by generation, from top to bottom in reading order. Pure.

The campaign is the root, so that a forest of drafts is one tree. A node stands half way between its first and its last
child. All dots of one colour are one path: ten thousand nodes are then nine elements, which a browser moves at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netwright.memory.overview import TreeRow
from netwright.report.charts import dots
from netwright.report.lineage import COLOURS, colours_of

WIDTH = 1000
ROW = 26
HEIGHTS = (220, 640)
MARGIN = 24
NAME_ROOM = 280
"""What is left at the right for the names of the last generation."""

FAILED = -1
ROOT = -2


@dataclass(frozen=True)
class Layout:
    """The picture's height, its paths, and what there is to say of each node; the root is the first of these.

    `dots` are paths by colour, best first; `failed` the path of crosses, `edges` that of first parents and `others` of
    the rest.
    """

    height: float
    edges: str
    others: str
    dots: tuple[str, ...]
    failed: str
    nodes: list[dict[str, Any]]


def lay_out(rows: Sequence[TreeRow], first_losses: Mapping[str, float], name: str) -> Layout:
    """`rows` with parents before their children; `first_losses` are by candidate and colour their designs by rank."""
    index = {row.node: place for place, row in enumerate(rows, 1)}
    parents = [index.get(row.parent, 0) if row.parent is not None else 0 for row in rows]
    generation = [0]
    for parent in parents:
        generation.append(generation[parent] + 1)
    lines = _lines(parents)
    last, deepest = max(lines), max(generation)
    height = min(max(ROW * (last + 1), HEIGHTS[0]), HEIGHTS[1])
    step = (WIDTH - MARGIN - NAME_ROOM) / max(deepest, 1)
    gap = (height - 2 * MARGIN) / max(last, 1.0)
    places = [(MARGIN + step * depth, MARGIN + gap * line) for depth, line in zip(generation, lines, strict=True)]
    losses = {row.node: first_losses[row.candidate_id or ""] for row in rows if row.candidate_id in first_losses}
    colours = colours_of(losses)
    colour_of = [ROOT, *(FAILED if row.loss_nats is None else colours.get(row.node, COLOURS - 1) for row in rows)]
    by_colour = {
        colour: [place for place, own in zip(places, colour_of, strict=True) if own == colour]
        for colour in range(FAILED, COLOURS)
    }
    others = [
        (index[other], place) for place, row in enumerate(rows, 1) for other in row.other_parents if other in index
    ]
    return Layout(
        height=height,
        edges="".join(_curve(places[parent], places[place]) for place, parent in enumerate(parents, 1)),
        others="".join(_curve(places[other], places[place]) for other, place in others),
        dots=tuple(dots(by_colour[colour]) for colour in range(COLOURS)),
        failed=dots(by_colour[FAILED]),
        nodes=[
            {"x": round(places[0][0], 1), "y": round(places[0][1], 1), "p": -1, "c": ROOT, "t": name},
            *(_node(row, parents[place - 1], places[place], colour_of[place]) for place, row in enumerate(rows, 1)),
        ],
    )


def _lines(parents: Sequence[int]) -> list[float]:
    """The line of each node, the root first: leaves in reading order, others half way between their children."""
    count = len(parents) + 1
    children: list[list[int]] = [[] for _ in range(count)]
    for place, parent in enumerate(parents, 1):
        children[parent].append(place)
    lines, line = [0.0] * count, 0
    # Reading order puts children after their parents, so that counting leaves forwards and parents backwards will do.
    for place in range(count):
        if not children[place]:
            lines[place], line = float(line), line + 1
    for place in reversed(range(count)):
        if children[place]:
            lines[place] = (lines[children[place][0]] + lines[children[place][-1]]) / 2
    return lines


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (end_x, end_y), middle = start, end, (start[0] + end[0]) / 2
    return f"M{x:.1f},{y:.1f}C{middle:.1f},{y:.1f} {middle:.1f},{end_y:.1f} {end_x:.1f},{end_y:.1f}"


def _node(row: TreeRow, parent: int, place: tuple[float, float], colour: int) -> dict[str, Any]:
    told = {"x": round(place[0], 1), "y": round(place[1], 1), "p": parent, "c": colour, "o": row.operator}
    told |= {
        "n": row.node,
        "t": row.title or "no design",
        "s": row.short,
        "f": f"{row.stage}: {row.failure}" if row.failure else "",
    }
    if row.loss_nats is not None:
        told["r"] = -(row.rung or 0) * 1e6 + row.loss_nats
        told["l"] = f"{row.loss_nats:.4f} nats at rung {row.rung}" + (f", {row.outcome}" if row.outcome else "")
    return told
