"""How results spread within groups of designs: a line per group, a dot per design, a box between the quartiles."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from netwright.report import charts
from netwright.report.charts import WIDTH, put, shorten

ROW = 30
NAME_WIDTH = 190
NOTE_WIDTH = 150
FOOT = 40


@dataclass(frozen=True, kw_only=True)
class Group:
    """Designs that have something in common: their losses, and how many of them failed."""

    name: str
    losses: tuple[float, ...]
    failed: int = 0


def spread(groups: Sequence[Group], *, unit: str) -> Markup | None:
    """The losses of each group; None where nothing was trained."""
    values = [loss for group in groups for loss in group.losses]
    if not values:
        return None
    low, high = charts.limits(values, trim_high=True)
    across = charts.scale(low, high, NAME_WIDTH, WIDTH - NOTE_WIDTH)
    height = ROW * len(groups) + FOOT
    bottom = ROW * len(groups) + 4
    parts = []
    for value, text in charts.tick_texts(low, high):
        x = across(value)
        parts.append(put('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="4" y2="{1}"/>', x, bottom))
        parts.append(put('<text class="tick middle" x="{:.1f}" y="{}">{}</text>', x, bottom + 14, text))
    middle = (NAME_WIDTH + WIDTH - NOTE_WIDTH) / 2
    parts.append(put('<text class="axis middle" x="{}" y="{}">{}</text>', middle, height - 6, unit))
    for number, group in enumerate(groups):
        parts += _row(group, ROW * number + ROW / 2 + 2, low, high)
    return charts.svg(parts, height, f"How {unit} spreads within each of {len(groups)} groups of designs")


def _row(group: Group, y: float, low: float, high: float) -> list[Markup]:
    across = charts.scale(low, high, NAME_WIDTH, WIDTH - NOTE_WIDTH)
    tried = len(group.losses) + group.failed
    note = f"{tried} tried" + (f", {group.failed} failed" if group.failed else "")
    name = '<text class="title end" x="{}" y="{:.1f}">{}<title>{}</title></text>'
    parts = [
        put(name, NAME_WIDTH - 10, y + 4, shorten(group.name, 28), group.name),
        put('<text class="note" x="{}" y="{:.1f}">{}</text>', WIDTH - NOTE_WIDTH + 12, y + 4, note),
    ]
    if len(group.losses) > 1:
        first, middle, last = (min(value, high) for value in statistics.quantiles(group.losses, n=4))
        start, end = across(max(first, low)), across(last)
        parts.append(
            put(
                '<rect class="box" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="14" rx="3"/>', start, y - 7, end - start
            )
        )
        median = put(
            '<line class="median" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>', across(middle), y - 9, y + 9
        )
        parts.append(median)
    cloud = charts.dots((across(min(loss, high)), y) for loss in sorted(set(group.losses)))
    return [*parts, put('<path class="cloud" d="{}"/>', cloud)]
