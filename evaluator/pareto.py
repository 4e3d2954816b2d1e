"""Which designs no other one beats: the Pareto front over loss and costs, where noise beats nobody. Pure.

One design dominates another if

- its loss is no larger,
- none of its costs is clearly higher, and
- its loss is lower beyond the noise, or one of its costs is clearly lower.

A difference in loss within the noise is no reason to dominate, and a larger loss, however little, is a reason not to: a
chain of designs, each cheaper and hardly worse than the one before, can therefore not do away with the best of them.

Source: Pareto dominance with a tolerance, as the epsilon-dominance of Laumanns et al. 2002 (Evolutionary Computation
10:3), here only for costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NOISE_ERRORS = 1.96
"""A difference in loss counts from so many of its standard errors on: 95% of normal noise stay below."""
TOLERANCES: Mapping[str, float] = {
    "parameters": 0.02,  # what the sizing rule leaves open
    "flops_per_token": 0.02,
    "latency_seconds": 0.1,  # timing on a machine that is never quite idle
    "state_bytes": 0.02,  # singular values near the threshold
}
"""The costs that are compared, and the share by which one has to be lower to be clearly lower."""


@dataclass(frozen=True)
class Point:
    """A design: its loss in nats with its standard error, and its costs by their names in TOLERANCES."""

    loss: float
    standard_error: float
    costs: Mapping[str, float]


def pareto_front(points: Sequence[Point]) -> tuple[bool, ...]:
    """Return for each point whether no other one dominates it. All have the same costs."""
    return tuple(not any(dominates(other, point) for other in points) for point in points)


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` leaves no reason to choose `other`."""
    if one.loss > other.loss or any(_clearly_lower(other, one, name) for name in one.costs):
        return False
    noise = NOISE_ERRORS * math.hypot(one.standard_error, other.standard_error)
    return other.loss - one.loss > noise or any(_clearly_lower(one, other, name) for name in one.costs)


def _clearly_lower(one: Point, other: Point, cost: str) -> bool:
    return one.costs[cost] < (1.0 - TOLERANCES[cost]) * other.costs[cost]
