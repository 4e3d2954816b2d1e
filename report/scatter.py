"""Designs as points over two of what they are compared in: loss, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from netwright.report import charts
from netwright.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, put

NAMED = 12


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A design in the plane; `label` is shown on hovering, `name` beside it where it is on the front."""

    x: float
    y: float
    name: str
    label: str
    on_front: bool
    is_baseline: bool = False


def scatter(spots: Sequence[Spot], *, x_label: str, y_label: str) -> Markup:
    """All designs, those on the front strong and, up to NAMED of them, named."""
    low, high = charts.limits([spot.y for spot in spots], trim_high=True)
    left, right = charts.limits([spot.x for spot in spots], trim_high=False)
    across, down = charts.scale(left, right, LEFT, WIDTH - RIGHT), charts.scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [charts.axes(low, high, down, x_label=x_label, y_label=y_label)]
    for value, text in charts.tick_texts(left, right):
        parts.append(
            put('<text class="tick middle" x="{:.1f}" y="{}">{}</text>', across(value), HEIGHT - BOTTOM + 16, text)
        )
    others = [spot for spot in spots if not spot.on_front]
    cloud = charts.dots((across(spot.x), down(min(spot.y, high))) for spot in others)
    parts.append(put('<path class="cloud wide" d="{}"/>', cloud))
    unbeaten = [spot for spot in spots if spot.on_front]
    for spot in unbeaten:
        parts.append(
            put(
                '<circle class="front{}" cx="{:.1f}" cy="{:.1f}" r="5.5"><title>{}</title></circle>',
                " even" if spot.is_baseline else "",
                across(spot.x),
                down(min(spot.y, high)),
                spot.label,
            )
        )
    if len(unbeaten) <= NAMED:
        labels = [(across(spot.x), down(min(spot.y, high)), spot.name, "label") for spot in unbeaten]
        parts.append(charts.side_labels(labels))
    return charts.svg(parts, HEIGHT, f"Designs by {y_label} and {x_label}; those that nothing else beats stand out")
