"""The lineage tree as SVG: one row per design, what it came from to its upper left, coloured by its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from netwright.memory.overview import TreeRow
from netwright.report.charts import WIDTH, shorten

ROW = 24
INDENT = 18
DEEPEST = 14
MOST_ROWS = 300
KEPT_BEST = 100
COLOURS = 7


@dataclass(frozen=True)
class Drawing:
    """The picture, and how many nodes were left out of it."""

    svg: Markup
    left_out: int


def draw(rows: Sequence[TreeRow], losses: Mapping[int, str], first_losses: Mapping[int, float]) -> Drawing:
    """`rows` with parents before their children; `losses` are the texts to show, by node.

    `first_losses` are what nodes are coloured by: their losses at the rung at which all were trained alike.
    """
    kept = _kept(rows)
    colours = colours_of(first_losses)
    line_of = {row.node: number for number, row in enumerate(kept)}
    titles = {row.node: row.title or "" for row in rows}
    edges = [_edge(row, line_of, kept) for row in kept if row.parent in line_of]
    nodes = [_row(row, number, colours, losses, titles) for number, row in enumerate(kept)]
    height = ROW * len(kept) + 8
    svg = Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="Lineage of all designs, coloured by loss" '
        'xmlns="http://www.w3.org/2000/svg">{}{}</svg>'
    ).format(WIDTH, height, Markup("").join(edges), Markup("").join(nodes))
    return Drawing(svg, len(rows) - len(kept))


def colours_of(first_losses: Mapping[int, float]) -> dict[int, int]:
    """The colour of each node by the rank of its first loss: 0 for the best seventh of them, and so on."""
    ranked = sorted(first_losses, key=first_losses.__getitem__)
    return {node: number * COLOURS // len(ranked) for number, node in enumerate(ranked)}


def _kept(rows: Sequence[TreeRow]) -> Sequence[TreeRow]:
    """All rows, or of a large tree the best designs with their ancestors."""
    if len(rows) <= MOST_ROWS:
        return rows
    by_node = {row.node: row for row in rows}
    scored = [row for row in rows if row.loss_nats is not None]
    best = sorted(scored, key=lambda row: (-(row.rung or 0), row.loss_nats or 0.0))[:KEPT_BEST]
    keep: set[int] = set()
    for row in best:
        node: int | None = row.node
        while node is not None and node not in keep:
            keep.add(node)
            node = by_node[node].parent
    return [row for row in rows if row.node in keep]


def _place(row: TreeRow, number: int) -> tuple[float, float]:
    return 12 + INDENT * min(row.depth, DEEPEST), ROW * number + ROW / 2


def _edge(row: TreeRow, line_of: Mapping[int, int], rows: Sequence[TreeRow]) -> Markup:
    assert row.parent is not None
    x, y = _place(row, line_of[row.node])
    parent_x, parent_y = _place(rows[line_of[row.parent]], line_of[row.parent])
    return Markup('<path class="edge" d="M{},{}V{}Q{},{} {},{}H{}"/>').format(
        parent_x, parent_y, y - 7, parent_x, y, parent_x + 7, y, x
    )


def _row(
    row: TreeRow,
    number: int,
    colours: Mapping[int, int],
    losses: Mapping[int, str],
    titles: Mapping[int, str],
) -> Markup:
    x, y = _place(row, number)
    failed = row.loss_nats is None
    title = row.title or "no candidate"
    note = shorten(f"{row.stage}: {row.failure}" if failed else _origin(row, titles), 44)
    whole = f"{title} — {row.failure}" if failed else title
    name = "failed" if failed else "baseline" if row.node < 0 else "design"
    room = max(18, 50 - 3 * min(row.depth, DEEPEST))
    parts = [
        _dot(x, y, failed, colours.get(row.node, COLOURS - 1)),
        Markup('<text class="title {}" x="{}" y="{}">{}<title>{}</title></text>').format(
            name, x + 12, y + 4, shorten(title, room), whole
        ),
        Markup('<text class="note" x="470" y="{}">{}<title>{}</title></text>').format(y + 4, note, whole),
        Markup('<text class="loss end" x="{}" y="{}">{}</text>').format(
            WIDTH - 6, y + 4, losses.get(row.node, "failed" if failed else "")
        ),
    ]
    return Markup("<g>{}</g>").format(Markup("").join(parts))


def _origin(row: TreeRow, titles: Mapping[int, str]) -> str:
    with_others = ", ".join(titles.get(node, "") for node in row.other_parents)
    return f"{row.operator} with {with_others}" if with_others else row.operator


def _dot(x: float, y: float, failed: bool, colour: int) -> Markup:
    if failed:
        cross = f"M{x - 4},{y - 4}L{x + 4},{y + 4}M{x - 4},{y + 4}L{x + 4},{y - 4}"
        return Markup('<path class="cross" d="{}"/>').format(cross)
    return Markup('<circle class="node q{}" cx="{}" cy="{}" r="6"/>').format(colour, x, y)
