"""What budgets are equal in: arithmetic on costs, and what a cost is counted from."""

import pytest
import torch

from netwright.errors import ConfigError
from netwright.evaluator import effort, protocol
from netwright.evaluator.protocol import Cost
from netwright.evaluator.tasks import load_task
from netwright.types import Share

REFERENCE = Cost(seconds=2e-5, operations=1000.0)


def share(factor: float = 1.0, seconds: float = 1.0) -> Share:
    return Share(candidate_id="c", task_id="t", factor=factor, seconds=seconds)


def of(name: str, *, seconds: float = 1.0, operations: float = 1.0) -> float:
    """The factor of a candidate that costs so many times what the reference does."""
    own = Cost(seconds=seconds * REFERENCE.seconds, operations=operations * (REFERENCE.operations or 0.0))
    return protocol.factor(name, own, REFERENCE)


def test_equal_tokens_ask_for_no_cost():
    assert of("tokens", seconds=3.0, operations=0.1) == 1.0


def test_equal_flops_buy_a_cheaper_candidate_more_tokens_whatever_time_it_takes():
    assert of("flops", operations=0.8, seconds=9.0) == pytest.approx(1.25)
    assert of("flops", operations=2.0, seconds=0.1) == pytest.approx(0.5)


def test_equal_time_buys_a_faster_candidate_more_tokens_whatever_it_computes():
    assert of("time", seconds=0.5, operations=7.0) == 2.0
    assert of("time", seconds=4.0, operations=0.1) == 0.25


@pytest.mark.parametrize("noise", [0.92, 0.97, 1.03, 1.08])
def test_a_little_noise_in_seconds_changes_no_number_of_tokens(noise):
    assert of("time", seconds=0.5 * noise) == of("time", seconds=0.5)


@pytest.mark.parametrize("name", ["flops", "time"])
@pytest.mark.parametrize(("cost", "factor"), [(0.0, 8.0), (1e-6, 8.0), (0.1, 8.0), (9.0, 0.125), (1e9, 0.125)])
def test_nobody_trains_without_end_or_not_at_all(name, cost, factor):
    found = of(name, seconds=cost, operations=cost)

    assert found == factor
    assert protocol.at_a_bound(share(found))


def test_what_lies_between_the_bounds_is_not_at_one():
    assert not protocol.at_a_bound(share(of("time", seconds=0.2)))


@pytest.mark.parametrize("name", ["tokens", "flops", "time"])
def test_a_rung_costs_what_it_trains_on_whatever_budgets_are_equal_in(name):
    spec = load_task("recall", rung_tokens=[20_000, 50_000, 200_000], protocol=name).spec

    assert protocol.prices(spec) == (1.0, 2.5, 10.0)
    for own in (0.5, 1.0, 3.0):
        lowest, *_, highest = (protocol.tokens_for(spec, rung.level, own) for rung in spec.rungs)
        assert highest == 10 * lowest


def test_a_factor_is_one_of_the_rungs_tokens():
    spec = load_task("recall").spec

    assert [protocol.tokens_for(spec, rung.level, 1.5) for rung in spec.rungs] == [
        round(1.5 * rung.tokens) for rung in spec.rungs
    ]


@pytest.mark.parametrize("name", ["flops", "time"])
def test_a_training_may_take_half_as_long_again_as_its_calibration_says(name):
    spec = load_task("recall", rung_tokens=[100_000], protocol=name).spec

    allowed = protocol.seconds_max(share(factor=2.0, seconds=0.5), spec, 0, 1e-4)

    assert allowed == pytest.approx(1.5 * 0.5 * 1e-4 * 200_000 + protocol.BESIDE_SECONDS)


def test_nobody_gets_more_time_than_the_rung_pays_by_being_slow():
    spec = load_task("recall", rung_tokens=[100_000], protocol="time").spec

    allowed = protocol.seconds_max(share(factor=0.125, seconds=100.0), spec, 0, 1e-4)

    assert allowed < 1.5 * 1.1 * 1e-4 * 100_000 + protocol.BESIDE_SECONDS


def test_results_of_different_protocols_never_compare_and_known_ids_stay():
    ids = [load_task("recall", protocol=name).spec.id for name in ("tokens", "flops", "time")]
    plain = load_task("recall").spec

    assert len(set(ids)) == 3
    assert ids[0] == plain.id
    assert "protocol" not in plain.model_dump_json(exclude_defaults=True)


def test_a_protocol_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match="no protocol 'joules': budgets are equal in tokens, flops, time"):
        load_task("recall", protocol="joules")


@pytest.mark.parametrize(
    ("compute", "operations"),
    [
        (lambda x: x @ torch.ones(8, 4), 2 * 6 * 8 * 4),
        (lambda x: x.relu(), 6 * 8),
        (lambda x: x.sum(), 6 * 8),
        (lambda x: x.view(8, 6).T[None], 0),
        (lambda x: x[:, 0] + x[:, 1], 6),
        (lambda x: x.cumsum(0), 6 * 8),
    ],
)
def test_products_count_double_and_every_touched_element_once(compute, operations):
    assert effort.operations(compute, torch.ones(6, 8)) == operations


def test_a_recurrence_in_a_loop_of_element_wise_operations_is_not_free():
    def recurrence(x):
        state = torch.zeros(8)
        for row in x:
            state = 0.5 * state + row
        return state

    assert effort.operations(recurrence, torch.ones(100, 8)) >= 100 * 2 * 8


def test_attention_is_counted_on_the_cpu_as_on_meta_tensors():
    def attend(x):
        return torch.nn.functional.scaled_dot_product_attention(x, x, x)

    real, meta = torch.ones(1, 2, 16, 8), torch.ones(1, 2, 16, 8, device="meta")

    assert effort.operations(attend, real) == pytest.approx(effort.operations(attend, meta), rel=0.3)
    assert effort.operations(attend, real) >= 4 * 2 * 16 * 16 * 8


def test_the_tasks_of_a_suite_are_under_its_protocol():
    suite = load_task("suite", protocol="flops")

    assert {task.spec.protocol for task in suite.tasks} == {suite.spec.protocol} == {"flops"}
    assert suite.spec.id != load_task("suite").spec.id
