"""The report's pictures as SVG text: no script, colours from the style sheet, every word escaped.

All charts are drawn in their own pixel units and scale with the page; `aria-label` says what they show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

WIDTH = 860
HEIGHT = 380
LEFT, RIGHT, TOP, BOTTOM = 64, 222, 16, 44
LABEL_GAP = 15
LABEL_CHARACTERS = 31
TRANSIENT = 0.08
"""The first part of a training curve, whose steep fall would flatten all that follows."""

CURVE_POINTS = 64
MOST_NAMED = 600
"""From so many dots on, a name for each would weigh more than the rest of the page."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal reference line, e.g. a baseline; `half` is half of its interval's width."""

    label: str
    y: float
    half: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One design in the best-so-far chart; `label` is shown on hovering, `half` is half of its interval's width."""

    x: int
    y: float
    label: str
    half: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of (x, y) points; `emphasis` draws it strong, others recede."""

    label: str
    points: tuple[tuple[float, float], ...]
    emphasis: bool = False


def best_so_far(marks: Sequence[Mark], levels: Sequence[Level], *, unit: str) -> Markup:
    """Designs in the order in which they were trained, the step line of the best, baselines across."""
    low, high = limits([*(mark.y for mark in marks), *(level.y for level in levels)], trim_high=True)
    across = scale(0.5, max(mark.x for mark in marks) + 0.5, LEFT, WIDTH - RIGHT)
    down = scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [axes(low, high, down, x_label="designs, in the order in which they were trained", y_label=unit)]
    shown = [level for level in levels if low <= level.y <= high]
    right = WIDTH - RIGHT
    parts += [_band("interval even", LEFT, right, level.y, level.half, down) for level in shown if level.half]
    steps = _steps(marks)
    ends = [*(step.x for step in steps[1:]), marks[-1].x + 0.5]
    parts += [
        _band("interval", across(step.x), across(end), step.y, step.half, down)
        for step, end in zip(steps, ends, strict=True)
        if step.half
    ]
    parts += [
        put('<line class="level" x1="{}" x2="{}" y1="{}" y2="{}"/>', LEFT, right, y, y)
        for y in (down(level.y) for level in shown)
    ]
    parts += _dots(marks, steps, across, down, high)
    path = f"M{across(steps[0].x):.1f},{down(steps[0].y):.1f}"
    for step, end in zip(steps, ends, strict=True):
        path += f"V{down(step.y):.1f}H{across(end):.1f}"
    parts.append(put('<path class="best" d="{}"/>', path))
    labels = [(level.label, level.y, "label") for level in shown]
    parts.append(end_labels([*labels, ("best so far", steps[-1].y, "label strong")], down))
    parts.append(_x_ticks([mark.x for mark in marks], across))
    return svg(parts, HEIGHT, "Best loss so far, design by design, against the baselines")


def _band(name: str, start: float, end: float, y: float, half: float, down: Callable[[float], float]) -> Markup:
    """An interval as a bar, cut at the picture's edges."""
    top, bottom = (min(max(down(each), TOP), HEIGHT - BOTTOM) for each in (y + half, y - half))
    bar = '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
    return put(bar, name, start, top, max(end - start, 0.0), max(bottom - top, 0.0))


def _dots(
    marks: Sequence[Mark],
    steps: Sequence[Mark],
    across: Callable[[float], float],
    down: Callable[[float], float],
    high: float,
) -> list[Markup]:
    """A named dot for each design; of thousands only those that were the best so far are named."""
    if len(marks) <= MOST_NAMED:
        return [_mark(mark, across, down, high) for mark in marks]
    cloud = dots((across(mark.x), down(min(mark.y, high))) for mark in marks)
    return [put('<path class="cloud" d="{}"/>', cloud), *(_mark(mark, across, down, high) for mark in steps)]


def dots(points: Iterable[tuple[float, float]]) -> str:
    """A path that draws a round dot at each point, where the style sheet gives it a round line end."""
    return "".join(f"M{x:.1f},{y:.1f}h0" for x, y in points)


def _mark(mark: Mark, across: Callable[[float], float], down: Callable[[float], float], high: float) -> Markup:
    # A design far worse than the rest would press all others together: it is drawn at the edge.
    shape, y = ("dot", mark.y) if mark.y <= high else ("dot off", high)
    return put(
        '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle>',
        shape,
        across(mark.x),
        down(y),
        mark.label,
    )


def _steps(marks: Sequence[Mark]) -> list[Mark]:
    """Those that were better than all before them."""
    steps: list[Mark] = []
    for mark in marks:
        if not steps or mark.y < steps[-1].y:
            steps.append(mark)
    return steps


def curves(lines: Sequence[Curve], *, unit: str) -> Markup:
    """Training losses over steps, the last point named at the right."""
    last = max(x for line in lines for x, _ in line.points)
    drawn = [_thinned(line) for line in lines]
    settled = [y for line in drawn for x, y in line.points if x >= TRANSIENT * line.points[-1][0]]
    low, high = limits(settled, trim_high=False)
    drawn = [_below(line, high) for line in drawn]
    across, down = scale(0.0, last, LEFT, WIDTH - RIGHT), scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [axes(low, high, down, x_label="training step", y_label=unit)]
    for index, line in sorted(enumerate(drawn), key=lambda item: item[1].emphasis):
        path = "M" + "L".join(f"{across(x):.1f},{down(y):.1f}" for x, y in line.points)
        name = "curve strong" if line.emphasis else f"curve s{index % 6}"
        parts.append(put('<path class="{}" d="{}"><title>{}</title></path>', name, path, line.label))
    labels = [
        (line.label, line.points[-1][1], "label strong" if line.emphasis else f"label t{index % 6}")
        for index, line in enumerate(drawn)
    ]
    parts += [end_labels(labels, down), _x_ticks([0.0, last], across)]
    return svg(parts, HEIGHT, "Training loss over steps of the best design and of baselines")


def _thinned(line: Curve) -> Curve:
    """Means of neighbouring points: single steps of a small batch are mostly noise."""
    size = -(-len(line.points) // CURVE_POINTS)
    bins = [line.points[start : start + size] for start in range(0, len(line.points), size)]
    points = tuple((each[-1][0], math.fsum(y for _, y in each) / len(each)) for each in bins)
    return replace(line, points=points)


def _below(line: Curve, high: float) -> Curve:
    return replace(line, points=tuple((x, y) for x, y in line.points if y <= high))


def limits(values: Sequence[float], *, trim_high: bool) -> tuple[float, float]:
    """Axis limits with some air; with `trim_high` outliers above do not stretch the axis."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    if trim_high:
        middle = ordered[len(ordered) // 2]
        high = min(high, middle + 3 * max(middle - low, 0.02 * abs(middle), 1e-6))
    air = max(0.06 * (high - low), 1e-4 * abs(high), 1e-6)
    return low - air, high + air


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Where on the picture a value stands."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between `low` and `high`, at most `most` + 1 of them."""
    raw = (high - low) / most
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * index for index in range(first, math.floor(high / step + 1e-9) + 1)]


def axes(low: float, high: float, down: Callable[[float], float], *, x_label: str, y_label: str) -> Markup:
    """The grid across with its numbers, and what both axes are called."""
    parts = []
    for value, text in tick_texts(low, high):
        y = down(value)
        parts.append(put('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>', LEFT, WIDTH - RIGHT, y, y))
        parts.append(put('<text class="tick end" x="{}" y="{:.1f}">{}</text>', LEFT - 8, y + 4, text))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(put('<text class="axis middle" x="{}" y="{}">{}</text>', middle, HEIGHT - 6, x_label))
    place = (TOP + HEIGHT - BOTTOM) / 2
    turn = f"translate(14 {place}) rotate(-90)"
    parts.append(put('<text class="axis middle" transform="{}">{}</text>', turn, y_label))
    return Markup("").join(parts)


def tick_texts(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Round numbers on an axis with their texts: as many decimals as tell them apart, k, M or G for large ones."""
    marks = ticks(low, high, most)
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(high) >= limit:
            found = [(mark, mark / (limit if limit > 1e4 else 1e3), unit) for mark in marks]
            break
    else:
        found = [(mark, mark, "") for mark in marks]
    step = found[1][1] - found[0][1] if len(found) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step)) + (1 if _has_half(step) else 0))
    return [(mark, f"{shown:.{digits}f}{unit}") for mark, shown, unit in found]


def _has_half(step: float) -> bool:
    """Whether the step is 2.5 times a power of ten and needs one more digit."""
    return round(step / 10.0 ** math.floor(math.log10(step)), 3) == 2.5


def _x_ticks(values: Sequence[float], across: Callable[[float], float]) -> Markup:
    found = [tick for tick in ticks(min(values), max(values) + 1e-9, 8) if float(tick).is_integer()]
    y = HEIGHT - BOTTOM + 16
    return Markup("").join(
        put('<text class="tick middle" x="{:.1f}" y="{}">{:.0f}</text>', across(tick), y, tick) for tick in found
    )


def end_labels(labels: Sequence[tuple[str, float, str]], down: Callable[[float], float]) -> Markup:
    """Names (text, value, class) of what ends at the right edge."""
    return side_labels([(float(WIDTH - RIGHT), down(y), text, name) for text, y, name in labels])


def side_labels(labels: Sequence[tuple[float, float, str, str]]) -> Markup:
    """Names (place, text, class) at the right edge, pushed apart where they would overlap, each with a leader."""
    ordered = sorted(labels, key=lambda label: label[1])
    places = _apart([y for _, y, _, _ in ordered], TOP + 4, HEIGHT - BOTTOM)
    parts = []
    for (x, y, text, name), place in zip(ordered, places, strict=True):
        edge = WIDTH - RIGHT
        leader = f"M{x:.1f},{y:.1f}L{edge + 12},{place:.1f}"
        parts.append(put('<path class="leader" d="{}"/>', leader))
        label = shorten(text, LABEL_CHARACTERS - 3 * ("strong" in name))
        shown = '<text class="{}" x="{}" y="{:.1f}">{}<title>{}</title></text>'
        parts.append(put(shown, name, edge + 16, place + 4, label, text))
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


def put(template: str, *values: object) -> Markup:
    """An element with its values, which are escaped."""
    return Markup(template).format(*values)


def svg(parts: Iterable[Markup], height: float, label: str) -> Markup:
    """A picture of WIDTH and that height; `label` says what it shows."""
    return put(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}" xmlns="http://www.w3.org/2000/svg">{}</svg>',
        WIDTH,
        height,
        escape(label),
        Markup("").join(parts),
    )
