"""The best design of every kind that a campaign tried: the elites of an archive, from the memory alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from netwright.agents.grammar_planner import genotype_of
from netwright.choices import flattened
from netwright.memory.query import TopRow
from netwright.report import words
from netwright.report.front import COST_NAMES, Costs
from netwright.search.archive import Archive, Cell
from netwright.search.descriptors import descriptors
from netwright.types import Candidate, Structure

FAMILY = "family"
NUMBERS = ("flops_per_token", "state_bytes", "latency_seconds")
INTERVALS = 2


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A cell by its places on the axes, in words, with its best design and how many designs it holds."""

    places: tuple[str, ...]
    row: TopRow
    loss_nats: float
    designs: int


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """The kinds that were tried, best first, on these axes."""

    axes: tuple[str, ...]
    kinds: tuple[Kind, ...]


def kinds(
    rows: Sequence[TopRow],
    candidates: Mapping[str, Candidate],
    first_losses: Mapping[str, float],
    costs: Mapping[str, Costs],
) -> Kinds:
    """Sort designs into kinds by family and by those costs that are known of at least half of them.

    `first_losses` are those of the lowest rung, in nats, where all designs are trained alike; a design without one is
    left out. All are by candidate id.
    """
    chosen = [row for row in rows if row.candidate_id in first_losses]
    known = Counter(name for row in chosen for name, cost in costs[row.candidate_id].items() if cost is not None)
    archive = Archive((FAMILY, *(name for name in NUMBERS if 2 * known[name] >= len(chosen) > 0)), intervals=INTERVALS)
    for place, row in enumerate(chosen):
        numbers = {name: cost for name, cost in costs[row.candidate_id].items() if cost is not None}
        archive.put(place, {**numbers, **_family(candidates[row.candidate_id])})
    elites = archive.elites({place: -first_losses[row.candidate_id] for place, row in enumerate(chosen)})
    held = Counter(archive.cells().values())
    found = [
        Kind(
            places=_in_words(cell, archive),
            row=chosen[place],
            loss_nats=first_losses[chosen[place].candidate_id],
            designs=held[cell],
        )
        for cell, place in elites.items()
    ]
    axes = tuple(COST_NAMES.get(axis, axis) for axis in archive.axes)
    return Kinds(axes=axes, kinds=tuple(sorted(found, key=lambda kind: kind.loss_nats)))


def _family(candidate: Candidate) -> dict[str, str | float]:
    family = family_of(candidate)
    return {} if family is None else {FAMILY: family}


def family_of(candidate: Candidate) -> str | None:
    """The kinds of mixers that a design decided on, joined by +; None where the grammar cannot read it."""
    genotype = genotype_of(candidate)
    return None if genotype is None else _family_in(genotype.text())


@lru_cache(maxsize=1 << 14)
def _family_in(text: str) -> str | None:
    found = descriptors(Structure(choices=flattened(text)))
    return str(found[FAMILY]) if FAMILY in found else None


def mixers(candidate: Candidate) -> tuple[str, ...]:
    """The kinds of mixers that a design decided on; none where the grammar cannot read it."""
    family = family_of(candidate)
    return tuple(family.split("+")) if family else ()


def _in_words(cell: Cell, archive: Archive) -> tuple[str, ...]:
    return tuple(_place_in_words(place, axis, archive) for place, axis in zip(cell, archive.axes, strict=True))


def _place_in_words(place: str | int | None, axis: str, archive: Archive) -> str:
    if place is None:
        return "–"
    if isinstance(place, str):
        return place.replace("+", " and ")
    boundaries = [_amount(axis, boundary) for boundary in archive.boundaries(axis)]
    if not boundaries:
        return "any"
    return f"above {boundaries[-1]}" if place == len(boundaries) else f"at most {boundaries[place]}"


def _amount(axis: str, value: float) -> str:
    if axis == "latency_seconds":
        return f"{1e3 * value:.2f} ms"
    return f"{value:.0f} B" if axis == "state_bytes" else words.count(value)
