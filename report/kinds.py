"""The best design of every kind that a campaign tried: the elites of an archive, from the memory alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from netwright.agents.baseline_genotypes import baseline_genotype
from netwright.agents.grammar_planner import parsed
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
    boundaries = {axis: archive.boundaries(axis).tolist() for axis in archive.axes}
    found = [
        Kind(
            places=_in_words(cell, boundaries),
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
    return _family_in(candidate.genotype, candidate.title if candidate.origin == "baseline" else "")


@lru_cache(maxsize=1 << 14)
def _family_in(text: str | None, baseline: str) -> str | None:
    genotype = parsed(text) if text is not None else baseline_genotype(baseline)
    if genotype is None:
        return None
    found = descriptors(Structure(choices=flattened(genotype.text())))
    return str(found[FAMILY]) if FAMILY in found else None


def mixers(candidate: Candidate) -> tuple[str, ...]:
    """The kinds of mixers that a design decided on; none where the grammar cannot read it."""
    family = family_of(candidate)
    return tuple(family.split("+")) if family else ()


def _in_words(cell: Cell, boundaries: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    return tuple(
        _place_in_words(place, axis, inner) for place, (axis, inner) in zip(cell, boundaries.items(), strict=True)
    )


def _place_in_words(place: str | int | None, axis: str, boundaries: Sequence[float]) -> str:
    if place is None:
        return "–"
    if isinstance(place, str):
        return place.replace("+", " and ")
    if not len(boundaries):
        return "any"
    amounts = [_amount(axis, boundary) for boundary in boundaries]
    return f"above {amounts[-1]}" if place == len(amounts) else f"at most {amounts[place]}"


def _amount(axis: str, value: float) -> str:
    if axis == "latency_seconds":
        return f"{1e3 * value:.2f} ms"
    return f"{value:.0f} B" if axis == "state_bytes" else words.count(value)
