"""The Pareto front of a campaign's designs at one rung, from the memory alone: loss against what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netwright.errors import NotFound
from netwright.evaluator.growth import Growth, growth_of
from netwright.evaluator.pareto import TOLERANCES, Point, pareto_front
from netwright.measures import Measures
from netwright.memory import Campaign, Memory
from netwright.memory.query import TopRow, top
from netwright.report import words
from netwright.search.hypervolume import contributions, hypervolume, unit_box

COST_NAMES: Mapping[str, str] = {
    "parameters": "parameters",
    "flops_per_token": "FLOPs per token",
    "latency_seconds": "latency",
    "state_bytes": "state",
}
"""How the costs in TOLERANCES are called."""


Costs = Mapping[str, float | None]
"""What a design costs, by the names in TOLERANCES; None where that is not known."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A design with what it costs.

    `alone` is the share of the front's hypervolume that would be lost without it, 0 for one that is not on the front.
    """

    row: TopRow
    costs: Costs
    growth: Growth | None
    on_front: bool
    alone: float


@dataclass(frozen=True, kw_only=True)
class Front:
    """All designs at a rung, best loss first, and which of them no other one beats.

    `compared` are the costs that were compared, as every design has them; `lacking` counts for each of the others the
    designs without it. `machine` is the one on which they were measured, None where none was. `hypervolume`, normalised
    to [0, 1], is the part that the front dominates of the box between the best and the worst of all designs.
    """

    task_id: str
    rung: int
    compared: tuple[str, ...]
    lacking: Mapping[str, int]
    machine: str | None
    hypervolume: float
    entries: tuple[Entry, ...]


def front(memory: Memory, campaign: str | None = None, rung: int | None = None) -> Front:
    """The front of a campaign (default: the latest) at a rung (default: the highest that any design reached).

    Raises:
        NotFound: there is no such campaign, or nothing was trained at the rung.
    """
    known = memory.campaign(campaign)
    return front_among(memory, known, top(memory, campaign=known.name, limit=None), rung)


def front_among(memory: Memory, known: Campaign, leaders: Sequence[TopRow], rung: int | None = None) -> Front:
    """The front among a campaign's leaders at a rung; see `front`."""
    level = rung if rung is not None else max((row.rung for row in leaders), default=0)
    rows = sorted((row for row in leaders if row.rung == level), key=lambda row: row.loss_nats)
    if not rows:
        reached = ", ".join(str(each) for each in sorted({row.rung for row in leaders})) or "none"
        raise NotFound(
            f"campaign {known.name!r} has no design whose highest rung is {level}; rungs with designs: {reached}"
        )
    measures = _measures(memory, known.task.id, {row.candidate_id for row in rows})
    costs = [_costs(row, measures.get(row.candidate_id)) for row in rows]
    lacking = {name: sum(each[name] is None for each in costs) for name in TOLERANCES}
    compared = tuple(name for name, number in lacking.items() if number == 0)
    points = [
        Point(row.loss_nats, row.standard_error or 0.0, {name: each[name] or 0.0 for name in compared})
        for row, each in zip(rows, costs, strict=True)
    ]
    on_front = pareto_front(points)
    volume, alone = _volume(points, on_front)
    return Front(
        task_id=known.task.id,
        rung=level,
        compared=compared,
        lacking={name: number for name, number in lacking.items() if number},
        machine=next((each.machine for each in measures.values()), None),
        hypervolume=volume,
        entries=tuple(
            Entry(row=row, costs=each, growth=_growth(measures.get(row.candidate_id)), on_front=unbeaten, alone=share)
            for row, each, unbeaten, share in zip(rows, costs, on_front, alone, strict=True)
        ),
    )


def _volume(points: Sequence[Point], on_front: Sequence[bool]) -> tuple[float, list[float]]:
    """The normalised hypervolume of the front, and by point the share of it that would be lost without that one.

    A cost in which no design is clearly better than another says nothing, and is left out.
    """
    axes = [[point.loss for point in points]]
    for name, tolerance in TOLERANCES.items():
        values = [point.costs[name] for point in points if name in point.costs]
        if values and min(values) < (1.0 - tolerance) * max(values):
            axes.append(values)
    scaled = unit_box(np.array(axes).T)
    chosen, reference = np.array(on_front), np.ones(scaled.shape[1])
    volume, alone = hypervolume(scaled[chosen], reference), np.zeros(len(points))
    alone[chosen] = contributions(scaled[chosen], reference) / volume
    return volume, alone.tolist()


def costs_of(memory: Memory, task_id: str, rows: Sequence[TopRow]) -> dict[str, Costs]:
    """What designs of one task cost, by candidate id."""
    measures = _measures(memory, task_id, {row.candidate_id for row in rows})
    return {row.candidate_id: _costs(row, measures.get(row.candidate_id)) for row in rows}


def _measures(memory: Memory, task_id: str, candidates: set[str]) -> dict[str, Measures]:
    """By candidate, what was measured on the machine that measured most of them: seconds compare within one only."""
    found = [each for each in memory.measures(task_id) if each.candidate_id in candidates]
    machines = Counter(each.machine for each in found)
    machine = max(machines, key=machines.__getitem__, default="")
    return {each.candidate_id: each for each in found if each.machine == machine}


def _costs(row: TopRow, measures: Measures | None) -> Costs:
    state = measures.state if measures else None
    return {
        "parameters": row.parameters,
        "flops_per_token": row.flops_per_token,
        "latency_seconds": measures.latency if measures else None,
        "state_bytes": state.bytes if state else None,
    }


def _growth(measures: Measures | None) -> Growth | None:
    return growth_of(measures) if measures else None


def compared(found: Front) -> str:
    """What was compared, in words."""
    return words.listed(["loss", *(COST_NAMES[name] for name in found.compared)])


def unbeaten(found: Front) -> list[dict[str, Any]]:
    """The designs on the front as the page shows them."""
    return [_shown(each) for each in found.entries if each.on_front]


def _shown(entry: Entry) -> dict[str, Any]:
    latency, state = entry.costs["latency_seconds"], entry.costs["state_bytes"]
    return {
        "row": entry.row,
        "parameters": words.count(entry.row.parameters),
        "flops": words.count(entry.row.flops_per_token),
        "latency": "–" if latency is None else f"{1e3 * latency:.2f} ms",
        "state": "–" if state is None else f"{state:.0f} B",
        "growth": (entry.growth.word if entry.growth else None) or "–",
        "alone": f"{entry.alone:.1%}",
    }
