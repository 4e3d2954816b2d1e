"""The report's pictures as SVG text: no script, colours from the style sheet, every word escaped.

All charts are drawn in their own pixel units and scale with the page; `aria-label` says what they show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup, escape

WIDTH = 860
HEIGHT = 380
LEFT, RIGHT, TOP, BOTTOM = 64, 222, 16, 44
LABEL_GAP = 15
LABEL_CHARACTERS = 31
TRANSIENT = 0.08
"""The first part of a training curve, whose steep fall would flatten all that follows."""

CURVE_POINTS = 64


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal reference line, e.g. a baseline."""

    label: str
    y: float


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One design in the best-so-far chart; `label` is shown on hovering."""

    x: int
    y: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of (x, y) points; `emphasis` draws it strong, others recede."""

    label: str
    points: tuple[tuple[float, float], ...]
    emphasis: bool = False


def best_so_far(marks: Sequence[Mark], levels: Sequence[Level], *, unit: str) -> Markup:
    """Designs in the order in which they were trained, the step line of the best, baselines across."""
    low, high = _range([*(mark.y for mark in marks), *(level.y for level in levels)], trim_high=True)
    across = _scale(0.5, max(mark.x for mark in marks) + 0.5, LEFT, WIDTH - RIGHT)
    down = _scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [_axes(low, high, down, x_label="designs, in the order in which they were trained", y_label=unit)]
    parts += [
        _format('<line class="level" x1="{}" x2="{}" y1="{}" y2="{}"/>', LEFT, WIDTH - RIGHT, down(y), down(y))
        for y in (level.y for level in levels)
        if low <= y <= high
    ]
    parts += [_mark(mark, across, down, high) for mark in marks]
    steps = _steps(marks)
    path = f"M{across(steps[0][0]):.1f},{down(steps[0][1]):.1f}"
    for (_, _), (x, y) in pairwise([*steps, (marks[-1].x + 0.5, steps[-1][1])]):
        path += f"H{across(x):.1f}V{down(y):.1f}"
    parts.append(_format('<path class="best" d="{}"/>', path))
    labels = [(level.label, level.y, "label") for level in levels if low <= level.y <= high]
    parts.append(_end_labels([*labels, ("best so far", steps[-1][1], "label strong")], down))
    parts.append(_x_ticks([mark.x for mark in marks], across))
    return _svg(parts, HEIGHT, "Best loss so far, design by design, against the baselines")


def _mark(mark: Mark, across: Callable[[float], float], down: Callable[[float], float], high: float) -> Markup:
    # A design far worse than the rest would press all others together: it is drawn at the edge.
    shape, y = ("dot", mark.y) if mark.y <= high else ("dot off", high)
    return _format(
        '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle>',
        shape,
        across(mark.x),
        down(y),
        mark.label,
    )


def _steps(marks: Sequence[Mark]) -> list[tuple[float, float]]:
    best, steps = math.inf, []
    for mark in marks:
        if mark.y < best:
            best = mark.y
            steps.append((float(mark.x), best))
    return steps


def curves(lines: Sequence[Curve], *, unit: str) -> Markup:
    """Training losses over steps, the last point named at the right."""
    last = max(x for line in lines for x, _ in line.points)
    drawn = [_thinned(line) for line in lines]
    settled = [y for line in drawn for x, y in line.points if x >= TRANSIENT * line.points[-1][0]]
    low, high = _range(settled, trim_high=False)
    drawn = [_below(line, high) for line in drawn]
    across, down = _scale(0.0, last, LEFT, WIDTH - RIGHT), _scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [_axes(low, high, down, x_label="training step", y_label=unit)]
    for index, line in sorted(enumerate(drawn), key=lambda item: item[1].emphasis):
        path = "M" + "L".join(f"{across(x):.1f},{down(y):.1f}" for x, y in line.points)
        name = "curve strong" if line.emphasis else f"curve s{index % 6}"
        parts.append(_format('<path class="{}" d="{}"><title>{}</title></path>', name, path, line.label))
    labels = [
        (line.label, line.points[-1][1], "label strong" if line.emphasis else f"label t{index % 6}")
        for index, line in enumerate(drawn)
    ]
    parts += [_end_labels(labels, down), _x_ticks([0.0, last], across)]
    return _svg(parts, HEIGHT, "Training loss over steps of the best design and of baselines")


def _thinned(line: Curve) -> Curve:
    """Means of neighbouring points: single steps of a small batch are mostly noise."""
    size = -(-len(line.points) // CURVE_POINTS)
    bins = [line.points[start : start + size] for start in range(0, len(line.points), size)]
    points = tuple((each[-1][0], math.fsum(y for _, y in each) / len(each)) for each in bins)
    return replace(line, points=points)


def _below(line: Curve, high: float) -> Curve:
    return replace(line, points=tuple((x, y) for x, y in line.points if y <= high))


def _range(values: Sequence[float], *, trim_high: bool) -> tuple[float, float]:
    """Axis limits with some air; with `trim_high` outliers above do not stretch the axis."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    if trim_high:
        middle = ordered[len(ordered) // 2]
        high = min(high, middle + 3 * max(middle - low, 0.02 * abs(middle), 1e-6))
    air = max(0.06 * (high - low), 1e-4 * abs(high), 1e-6)
    return low - air, high + air


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between `low` and `high`, at most `most` + 1 of them."""
    raw = (high - low) / most
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * index for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _axes(low: float, high: float, down: Callable[[float], float], *, x_label: str, y_label: str) -> Markup:
    marks = ticks(low, high)
    digits = max(0, -math.floor(math.log10(marks[1] - marks[0])) + (1 if _has_half(marks) else 0))
    parts = []
    for value in marks:
        y = down(value)
        parts.append(_format('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>', LEFT, WIDTH - RIGHT, y, y))
        text = f"{value:.{digits}f}"
        parts.append(_format('<text class="tick end" x="{}" y="{:.1f}">{}</text>', LEFT - 8, y + 4, text))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_format('<text class="axis middle" x="{}" y="{}">{}</text>', middle, HEIGHT - 6, x_label))
    place = (TOP + HEIGHT - BOTTOM) / 2
    turn = f"translate(14 {place}) rotate(-90)"
    parts.append(_format('<text class="axis middle" transform="{}">{}</text>', turn, y_label))
    return Markup("").join(parts)


def _has_half(marks: Sequence[float]) -> bool:
    """Whether the step is 2.5 times a power of ten and needs one more digit."""
    step = marks[1] - marks[0]
    return round(step / 10.0 ** math.floor(math.log10(step)), 3) == 2.5


def _x_ticks(values: Sequence[float], across: Callable[[float], float]) -> Markup:
    found = [tick for tick in ticks(min(values), max(values) + 1e-9, 8) if float(tick).is_integer()]
    y = HEIGHT - BOTTOM + 16
    return Markup("").join(
        _format('<text class="tick middle" x="{:.1f}" y="{}">{:.0f}</text>', across(tick), y, tick) for tick in found
    )


def _end_labels(labels: Sequence[tuple[str, float, str]], down: Callable[[float], float]) -> Markup:
    """Names at the right edge, pushed apart where they would overlap, with a leader to their line."""
    ordered = sorted(labels, key=lambda label: down(label[1]))
    places = _apart([down(y) for _, y, _ in ordered], TOP + 4, HEIGHT - BOTTOM)
    parts = []
    for (text, y, name), place in zip(ordered, places, strict=True):
        edge = WIDTH - RIGHT
        leader = f"M{edge},{down(y):.1f}L{edge + 12},{place:.1f}"
        parts.append(_format('<path class="leader" d="{}"/>', leader))
        label = shorten(text, LABEL_CHARACTERS - 3 * ("strong" in name))
        shown = '<text class="{}" x="{}" y="{:.1f}">{}<title>{}</title></text>'
        parts.append(_format(shown, name, edge + 16, place + 4, label, text))
    return Markup("").join(parts)


def _apart(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Sorted places at least LABEL_GAP apart, within the limits as far as there is room."""
    places: list[float] = []
    for place in wanted:
        places.append(max(place, places[-1] + LABEL_GAP) if places else max(place, low))
    for index in range(len(places) - 1, -1, -1):
        limit = high if index == len(places) - 1 else places[index + 1] - LABEL_GAP
        places[index] = min(places[index], limit)
    return places


def shorten(text: str, most: int) -> str:
    """At most `most` characters, cut with an ellipsis."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1].rstrip() + "…"


def _format(template: str, *values: object) -> Markup:
    return Markup(template).format(*values)


def _svg(parts: Iterable[Markup], height: int, label: str) -> Markup:
    return _format(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" xmlns="http://www.w3.org/2000/svg">{}</svg>',
        WIDTH,
        height,
        escape(label),
        Markup("").join(parts),
    )
