"""What a rung's token budget buys: plain arithmetic, the same on both sides of the sandbox.

rows of a batch = min(the recipe's batch size, tokens // max_len)
steps           = tokens // (rows * max_len)
"""

from __future__ import annotations

from netwright.types import Recipe, TaskSpec


def batch_rows(spec: TaskSpec, recipe: Recipe, rung: int) -> int:
    """Return the rows of one training batch: no batch may cost more than the whole budget, one row at least."""
    return max(1, min(recipe.batch_size, spec.rungs[rung].tokens // spec.max_len))


def step_count(spec: TaskSpec, recipe: Recipe, rung: int) -> int:
    """Return the steps that the rung's token budget pays for, at least one."""
    return max(1, spec.rungs[rung].tokens // (batch_rows(spec, recipe, rung) * spec.max_len))


def tokens_of(spec: TaskSpec, recipe: Recipe, rung: int, steps: int) -> int:
    """Return the input tokens of so many steps."""
    return steps * batch_rows(spec, recipe, rung) * spec.max_len
