"""What kind of design a structure is: the axes along which an archive keeps designs apart."""

from __future__ import annotations

from collections import Counter

from netwright.choices import role
from netwright.search.archive import Descriptors
from netwright.types import Structure

AXES = ("family", "variety", "log10 cost")
_COSTS = ("log10 flops per token", "log10 relative cost")
"""What tells the cost of a design, the best first."""


def descriptors(structure: Structure) -> Descriptors:
    """Return the descriptors on `AXES`, without those that cannot be told.

    The family names the kinds of mixers that were decided on; where no decision is one of a kind, the most frequent
    option. The variety is how many different options were taken. The cost is that of a token: designs of one search
    all tell it in FLOPs, or all by the grammar's estimate.
    """
    found: dict[str, str | float] = {}
    if structure.choices:
        kinds = {option for place, option in structure.choices.items() if _is_mixer(place, structure)}
        options = Counter(structure.choices.values())
        found["family"] = "+".join(sorted(kinds)) or min(options, key=lambda option: (-options[option], option))
        found["variety"] = float(len(options))
    cost = next((structure.numbers[name] for name in _COSTS if name in structure.numbers), None)
    if cost is not None:
        found[AXES[2]] = cost
    return found


def _is_mixer(place: str, structure: Structure) -> bool:
    """Tell whether a place decides on a kind of mixer, and not on a way of joining two of them."""
    return role(place) == "kind" and f"{place.removesuffix('kind')}left.kind" not in structure.choices
