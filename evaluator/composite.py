"""One number from the losses on several tasks; see `tasks.suite` for what it means. Pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence


def task_score(loss: float, reference: float, scale: float) -> float:
    """Return tanh((reference - loss) / scale), all in nats: how far ahead of the reference, in (-1, 1)."""
    return math.tanh((reference - loss) / scale)


def suite_loss(losses: Sequence[float], references: Sequence[float], scales: Sequence[float]) -> float:
    """Return minus the mean score over the tasks, in (-1, 1); lower is better, 0 is the reference."""
    scores = [task_score(*each) for each in zip(losses, references, scales, strict=True)]
    return -sum(scores) / len(scores)


def suite_error(
    losses: Sequence[float], errors: Sequence[float], references: Sequence[float], scales: Sequence[float]
) -> float:
    """Return the standard error of the suite loss from those of the tasks' losses, which are independent.

    Source: the delta method, Casella & Berger (2002), Statistical Inference, section 5.5.4; d tanh(u) = 1 - tanh(u)^2.
    """
    slopes = [
        (1.0 - task_score(loss, reference, scale) ** 2) / scale
        for loss, reference, scale in zip(losses, references, scales, strict=True)
    ]
    return math.hypot(*(slope * error for slope, error in zip(slopes, errors, strict=True))) / len(losses)
