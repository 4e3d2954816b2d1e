"""An architecture as SVG: what one layer computes, with shapes, by its parts, and what its parent does not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from netwright.memory.store import Memory
from netwright.portrait import TracedGraph
from netwright.report.layout import Layout, crossings, lay_out
from netwright.report.sketch import Box, Boxes, boxes_of, layers_of, nearest

CHARACTER, LINE, PAD, HEAD = 6.7, 16.0, 9.0, 15.0
LEAST_WIDTH = 64.0
MARGIN, TITLE, BETWEEN = 14.0, 30.0, 56.0
HUES = 6
BOXES_MAX, CROSSINGS_MAX = 160, 1500
"""A drawing of more boxes, or whose edges pass more ranks between them, shows nothing."""
GONE_SHOWN = 8
NOTE_WIDTH, PAGE_WIDTH = 470.0, 940.0
"""Layers stand beside each other where a page of the report is wide enough for that."""


def draw(trace: TracedGraph, parent: TracedGraph | None = None) -> Markup | None:
    """Return the drawing: layers that differ beside each other; steps that the `parent` lacks are marked.

    It has no style of its own: `standalone` adds one, and the report's page has it. None where there is too much for a
    page.
    """
    theirs = layers_of(parent) if parent is not None else ()
    panels = [boxes_of(sketch, nearest(sketch, theirs)) for sketch in layers_of(trace)]
    titles = [f"layer {number}" for number in range(len(panels))] if len(panels) > 1 else [""]
    return _page(panels, titles) if all(_can_be_seen(boxes) for boxes in panels) else None


def drawing_of(memory: Memory, candidate_id: str, beside: str | None = None) -> Markup | None:
    """Return the drawing of a candidate beside its first parent, or the candidate `beside`.

    None where its process showed nothing, or too much.
    """
    trace = memory.trace(candidate_id)
    if trace is None:
        return None
    parent = beside or next(iter(memory.parents(candidate_id)), None)
    return draw(trace, memory.trace(parent) if parent else None)


def _can_be_seen(boxes: Boxes) -> bool:
    return len(boxes.boxes) <= BOXES_MAX and crossings(len(boxes.boxes), boxes.edges) <= CROSSINGS_MAX


def standalone(drawing: Markup) -> str:
    """Return the drawing as a file of its own, for light and dark rooms."""
    css = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    variables, rest = css.split("* {", 1)
    own = "\n".join(line for line in rest.splitlines() if line.startswith("svg"))
    paper = "svg { --behind: var(--paper); background: var(--paper); font-family: var(--sans); }"
    return str(drawing).replace(">", f"><style>\n{variables}{own}\n{paper}\n</style>", 1) + "\n"


def _page(panels: Sequence[Boxes], titles: Sequence[str]) -> Markup:
    layouts = [lay_out([_size(box) for box in boxes.boxes], boxes.edges) for boxes in panels]
    above = TITLE if any(titles) else 0.0
    beside = sum(layout.width + BETWEEN for layout in layouts) <= PAGE_WIDTH
    x, y, width, height, inside = MARGIN, MARGIN + above, NOTE_WIDTH, 0.0, list[Markup]()
    for boxes, layout, title in zip(panels, layouts, titles, strict=True):
        inside.append(Markup('<g transform="translate({:.1f} {:.1f})">').format(x, y))
        inside.append(Markup('<text class="arch-title" x="0" y="-14">{}</text>').format(title))
        inside += [_panel(boxes, layout), Markup("</g>")]
        width, height = max(width, x + layout.width + MARGIN + 24), max(height, y + layout.height)
        x, y = (x + layout.width + BETWEEN, y) if beside else (x, height + BETWEEN + above)
    notes = _notes(panels, height + MARGIN + LINE)
    height += MARGIN + LINE * (len(notes) + 1)
    # Never larger than it was made: a small design would fill the page with two words.
    head = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="arch" viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" role="img" '
        'aria-label="What the architecture computes, as a graph">'
        '<defs><marker id="arch-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="arch-tip" d="M0 0 8 4 0 8z"/></marker></defs>'
    ).format(width, height)
    return Markup("").join([head, *inside, *notes, Markup("</svg>")])


def _panel(boxes: Boxes, layout: Layout) -> Markup:
    parts = list(dict.fromkeys(_first(box.part) for box in boxes.boxes if box.part))
    edges = [_edge(path) for path in layout.paths.values()]
    shapes = [_shape(box, place) for box, place in zip(boxes.boxes, layout.places, strict=True)]
    turning = {box for edge in boxes.back for box in edge}
    drawn = [
        _box(box, place, parts, turning=number in turning)
        for number, (box, place) in enumerate(zip(boxes.boxes, layout.places, strict=True))
    ]
    return Markup("").join([*edges, *drawn, *shapes])


def _edge(points: Sequence[tuple[float, float]]) -> Markup:
    """A curve that leaves and arrives upright, and goes straight through the ranks that it passes."""
    (x, y), *rest = points
    path = [f"M{x:.1f} {y:.1f}"]
    for place, (to_x, to_y) in enumerate(rest):
        bend = (to_y - y) / 2
        end = to_y - (2 if place == len(rest) - 1 else 0)
        path.append(f"C{x:.1f} {y + bend:.1f} {to_x:.1f} {to_y - bend:.1f} {to_x:.1f} {end:.1f}")
        x, y = to_x, to_y
    return Markup('<path class="arch-edge" marker-end="url(#arch-tip)" d="{}"/>').format(" ".join(path))


def _box(box: Box, place: tuple[float, float], parts: Sequence[str], *, turning: bool) -> Markup:
    width, height = _size(box)
    left, top = place[0] - width / 2, place[1]
    hue = parts.index(_first(box.part)) % HUES if box.part else None
    kind = "arch-end" if box.lines[0].label in ("input", "output") else "arch-box"
    pieces = [
        Markup('<rect class="{}{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="7"/>').format(
            kind, " arch-new" if all(line.new for line in box.lines) else "", left, top, width, height
        )
    ]
    if hue is not None:
        bar = '<rect class="arch-bar arch-hue{}" x="{:.1f}" y="{:.1f}" width="4" height="{:.1f}" rx="2"/>'
        pieces.append(Markup(bar).format(hue, left, top + 4, height - 8))
    y = top + PAD / 2 + 11
    if head := _head(box):
        pieces.append(Markup('<text class="arch-head" x="{:.1f}" y="{:.1f}">{}</text>').format(left + PAD, y - 1, head))
        y += HEAD
    for line in box.lines:
        if line.new:
            mark = '<rect class="arch-mark" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.0f}" rx="3"/>'
            pieces.append(Markup(mark).format(left + 6, y - 11.5, width - 11, LINE - 1))
        text = '<text class="arch-line" x="{:.1f}" y="{:.1f}">{}</text>'
        pieces.append(Markup(text).format(left + PAD + (2 if hue is not None else 0), y, line.label))
        y += LINE
    if turning:
        loop = '<path class="arch-edge arch-back" d="M{0:.1f} {1:.1f}c20 0 20 {2:.1f} 2 {2:.1f}"/>'
        pieces.append(Markup(loop).format(left + width, top + height - 6, -(height - 12)))
    return Markup("").join(pieces)


def _head(box: Box) -> str:
    turns = f"each of {box.turns} turns" if box.turns > 1 else ""
    return ", ".join(filter(None, (box.part, turns)))


def _shape(box: Box, place: tuple[float, float]) -> Markup:
    if box.lines[0].label == "output" or not box.shape:
        return Markup("")
    _, height = _size(box)
    text = '<text class="arch-shape" x="{:.1f}" y="{:.1f}">{}</text>'
    return Markup(text).format(place[0] + 5, place[1] + height + 13, shape_words(box.shape))


def shape_words(shape: Sequence[int]) -> str:
    """A shape as it is read: 1 row of 8 positions with 64 numbers each is `1×8×64`."""
    return "×".join(map(str, shape))


def _size(box: Box) -> tuple[float, float]:
    longest = max(len(line.label) for line in box.lines)
    head = _head(box)
    width = max(LEAST_WIDTH, longest * CHARACTER + 2 * PAD + 6, len(head) * CHARACTER * 0.9 + 2 * PAD)
    return width, len(box.lines) * LINE + PAD + (HEAD if head else 0)


def _notes(panels: Sequence[Boxes], y: float) -> list[Markup]:
    """What the drawing cannot show: what its parent has, and what shapes are of."""
    gone = list(dict.fromkeys(label for boxes in panels for label in boxes.gone))
    more = f" and {len(gone) - GONE_SHOWN} more" if len(gone) > GONE_SHOWN else ""
    notes = [("arch-gone", "only its parent has: " + ", ".join(gone[:GONE_SHOWN]) + more)] if gone else []
    row = next((boxes.boxes[0].shape for boxes in panels), ())
    if len(row) == 3:
        notes.append(("arch-note", f"shapes of one row of {row[1]} positions, as the design's own process showed them"))
    text = '<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>'
    return [Markup(text).format(kind, MARGIN, y + LINE * n, words) for n, (kind, words) in enumerate(notes)]


def _first(part: str) -> str:
    return part.partition(".")[0]
