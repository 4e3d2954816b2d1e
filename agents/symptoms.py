"""What a step of the search would ask the knowledge base, from what its planner is told. Pure.

The same context asks the same question, so a campaign that goes on builds the prompts that it built before.
"""

from __future__ import annotations

import random

from netwright.prompts import load
from netwright.types import Context, Operator

_ASKS = {
    Operator.DRAFT: "",
    Operator.REFINE: "",
    Operator.COMBINE: "two mechanisms in one layer, parallel heads or a hybrid",
    Operator.SIMPLIFY: "fewer parameters, a part that costs more than it brings",
    Operator.TUNE: "learning rate, warm-up, batch size, steps, initial weights",
    Operator.REPAIR: "",
}
"""What an operator looks for beyond the task and the parents."""

_STATISTICS = "statistics"
_FAILURE_CHARACTERS = 600


def starting_points(context: Context) -> tuple[str, str]:
    """Draw the two directions that a draft of this step is offered, from the context's seed."""
    dice = random.Random(f"{context.seed}/{context.attempt}")
    lines = load("directions").text.splitlines()
    first, second = dice.sample([line.removeprefix("- ") for line in lines if line.startswith("- ")], 2)
    return first, second


def symptoms(context: Context) -> str:
    """Say what ails the parents, or where a draft starts, then what the operator looks for and what the task is.

    A verdict's words count where a critic wrote them: those of the statistics are numbers. Of a failure the end counts,
    where the cause stands.
    """
    parts: list[str] = []
    for parent in context.parents:
        verdict = parent.verdict
        parts.append(parent.failure[-_FAILURE_CHARACTERS:])
        if verdict is not None:
            parts.append(verdict.lesson or "")
            parts.append("" if verdict.author == _STATISTICS else verdict.words)
    if context.operator is Operator.DRAFT:
        parts += starting_points(context)
    parts += [_ASKS.get(context.operator, ""), context.task.summary]
    return ". ".join(part for part in parts if part)
