"""How far apart two designs are in what they are made of."""

from __future__ import annotations

from collections.abc import Mapping

from netwright.types import Structure


def distance(one: Structure, other: Structure) -> float:
    """Return how far apart two designs are: 0 for no difference that shows, 1 for nothing in common.

    What they are made of is compared by weighted Jaccard distance, their choices (where both have some) by plain
    Jaccard distance, and the mean of the two taken; numbers that both have add their mean relative difference.

    Source: Ioffe 2010, Improved Consistent Sampling, Weighted Minhash and L1 Sketching (weighted Jaccard similarity);
    Lance, Williams 1966 (Canberra metric, for the numbers).
    """
    parts = [_jaccard(one.counts, other.counts)]
    if one.choices and other.choices:
        parts.append(_jaccard(_as_counts(one.choices), _as_counts(other.choices)))
    shared = one.numbers.keys() & other.numbers.keys()
    relative = sum(_canberra(one.numbers[name], other.numbers[name]) for name in shared) / max(len(shared), 1)
    return 1.0 - (1.0 - sum(parts) / len(parts)) * (1.0 - relative)


def _jaccard(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Return 1 - sum of minima / sum of maxima; 0 where both are empty."""
    shared = sum(min(count, other[name]) for name, count in one.items() if name in other)
    union = sum(one.values()) + sum(other.values()) - shared
    return 1.0 - shared / union if union else 0.0


def _as_counts(choices: Mapping[str, str]) -> dict[str, float]:
    return {f"{place}={value}": 1.0 for place, value in choices.items()}


def _canberra(one: float, other: float) -> float:
    size = abs(one) + abs(other)
    return abs(one - other) / size if size else 0.0
