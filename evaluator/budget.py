"""What a trial's tokens buy: plain arithmetic, the same on both sides of the sandbox.

rows of a batch = min(the recipe's batch size, tokens // max_len)
steps           = tokens // (rows * max_len)

How many tokens a trial has is the protocol's affair (see `protocol`): those of the rung, or as many as cost the same.
"""

from __future__ import annotations

from netwright.types import Recipe, TaskSpec


def batch_rows(spec: TaskSpec, recipe: Recipe, *, tokens: int) -> int:
    """Return the rows of one training batch: no batch may cost more than the whole budget, one row at least."""
    return max(1, min(recipe.batch_size, tokens // spec.max_len))


def step_count(spec: TaskSpec, recipe: Recipe, *, tokens: int) -> int:
    """Return the steps that the tokens pay for, at least one."""
    return max(1, tokens // (batch_rows(spec, recipe, tokens=tokens) * spec.max_len))


def tokens_of(spec: TaskSpec, recipe: Recipe, steps: int, *, tokens: int) -> int:
    """Return the input tokens of so many steps of a training that was given `tokens`."""
    return steps * batch_rows(spec, recipe, tokens=tokens) * spec.max_len
