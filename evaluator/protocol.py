"""What makes two budgets equal: plain arithmetic on what was measured.

    protocol   a rung pays                                        a candidate trains on
    tokens     its tokens                                         the rung's tokens
    flops      the operations that they take of the reference     as many as take so many operations of its own
    time       the seconds that they take of the reference        as many as take so many seconds of its own

    factor = what a token takes of the reference / what it takes of the candidate, from 1/8 to 8
    tokens = factor * the rung's tokens, of which whole steps are taken

Seconds are never quite the same twice: their factor is rounded to a quarter of an octave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from netwright.types import BudgetProtocol, Share, TaskSpec

FACTOR_MAX = 8.0
STEPS_PER_OCTAVE = 4
WARM_UP_STEPS, TIMED_STEPS = 2, 12
"""Steps of training by which seconds are found out."""
OVERRUN = 1.5
"""How much longer than its own calibration a training may take, beyond what load does to the reference meanwhile."""
BESIDE_SECONDS = 3.0
"""What a training process may take beside its steps: making the network, and the audit of what was trained."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one input token takes: seconds of a step of training, and operations of a forward pass where counted."""

    seconds: float
    operations: float | None = None


def factor(protocol: BudgetProtocol, own: Cost, reference: Cost) -> float:
    """Return how many times the rung's tokens a candidate of cost `own` trains on."""
    if protocol == "tokens":
        return 1.0
    if protocol == "flops":
        ratio = _ratio(reference.operations or 0.0, own.operations or 0.0)
        return min(max(ratio, 1 / FACTOR_MAX), FACTOR_MAX)
    ratio = min(max(_ratio(reference.seconds, own.seconds), 1 / FACTOR_MAX), FACTOR_MAX)
    return float(2.0 ** (round(math.log2(ratio) * STEPS_PER_OCTAVE) / STEPS_PER_OCTAVE))


def at_a_bound(share: Share) -> bool:
    """Whether a candidate costs so little, or so much, that its factor is not what equal budgets would give."""
    return share.factor in (1 / FACTOR_MAX, FACTOR_MAX)


def tokens_for(spec: TaskSpec, rung: int, factor: float) -> int:
    """Return the tokens that a rung buys."""
    return max(1, round(spec.rungs[rung].tokens * factor))


def prices(spec: TaskSpec) -> tuple[float, ...]:
    """Return what a training at each rung costs, in trainings at the lowest.

    Every rung is trained from scratch. Tokens, operations and seconds are in proportion to its tokens, so that the
    prices are the same under each protocol.
    """
    return tuple(rung.tokens / spec.rungs[0].tokens for rung in spec.rungs)


def seconds_max(share: Share, spec: TaskSpec, rung: int, reference_seconds: float) -> float:
    """Return the most that a training may take where a token takes `reference_seconds` of the reference.

    It is what its own tokens take, and under equal time no more than the rung pays: who is slower than the lower bound
    allows for, or claims to be, does not get the time for it.
    """
    tokens = share.seconds * tokens_for(spec, rung, share.factor)
    if spec.protocol == "time":
        rounding = 2.0 ** (0.5 / STEPS_PER_OCTAVE)
        tokens = min(tokens, rounding * spec.rungs[rung].tokens)
    return OVERRUN * tokens * reference_seconds + BESIDE_SECONDS


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0.0 else math.inf
