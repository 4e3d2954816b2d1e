"""What a rung's tokens buy, known to both sides of the sandbox."""

import pytest

from netwright.evaluator import budget
from netwright.evaluator.limits import LaboratoryLimits
from netwright.evaluator.tasks import load_task
from netwright.types import Recipe

SPEC = load_task("recall").spec.model_copy(update={"max_len": 16})


@pytest.mark.parametrize(("batch_size", "rows", "steps"), [(8, 8, 10), (12, 12, 6), (80, 80, 1), (1024, 80, 1)])
def test_no_batch_costs_more_than_the_budget(batch_size, rows, steps):
    recipe = Recipe(batch_size=batch_size)

    assert budget.batch_rows(SPEC, recipe, tokens=1_280) == rows
    assert budget.step_count(SPEC, recipe, tokens=1_280) == steps
    assert budget.tokens_of(SPEC, recipe, steps, tokens=1_280) <= 1_280


@pytest.mark.parametrize("tokens", [1, 15])
def test_a_budget_of_less_than_a_row_still_buys_one_step(tokens):
    recipe = Recipe(batch_size=64)

    assert budget.step_count(SPEC, recipe, tokens=tokens) == budget.batch_rows(SPEC, recipe, tokens=tokens) == 1


@pytest.mark.parametrize("tokens", [240_000, 256_000, 720_000, 768_000])
def test_a_machine_of_an_eighth_of_the_speed_is_given_time_enough_and_little_more(tokens):
    idle_seconds = tokens / 45_000

    assert 8 * idle_seconds < LaboratoryLimits().train(tokens).wall_seconds < 12 * idle_seconds
