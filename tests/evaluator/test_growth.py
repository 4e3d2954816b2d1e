"""How costs grow, and what may be called quadratic."""

from __future__ import annotations

import math

import pytest

from netwright.evaluator.growth import QUADRATIC, SUB_QUADRATIC, exponent, growth_of, rise
from netwright.measures import Inference, Measures, State


def curve(cost):
    return [(length, cost(length)) for length in (128, 256, 512)]


def measures(flops, written=lambda n: 100 * n, seconds=lambda n: 1e-5 * n, states=()):
    rows = tuple(
        Inference(length=n, seconds=seconds(n), batch_seconds=1.0, flops=flops(n), written=written(n), peak_bytes=n)
        for n in (128, 256, 512)
    )
    return Measures(candidate_id="c", task_id="t", machine="m", batch_rows=8, inference=rows, states=tuple(states))


def test_the_exponent_is_the_slope_of_the_logarithms():
    assert exponent(curve(lambda n: 3.0 * n**1.5)) == pytest.approx(1.5)
    assert exponent([(128, 1.0)]) is None


def test_the_rise_sees_the_quadratic_part_behind_a_linear_one():
    costs = curve(lambda n: 200_000.0 * n + 500.0 * n**2)

    assert rise(costs) == pytest.approx(2.0)
    assert exponent(costs) < 1.6


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (lambda n: 7.0 * n, 1.0),
        (lambda n: 7.0 * n + 3000.0, 1.0),
        (lambda n: n * math.log2(n), 1.0),
        (lambda n: 5.0 * n + 2.0 * n**1.5, 1.5),
        (lambda n: n * min(n, 200), 1.0 + math.log2(1e-9)),
        (lambda n: 1000.0 * n + n * max(0, n - 256), math.inf),
    ],
)
def test_the_rise_is_that_of_the_part_that_grows(cost, expected):
    found = rise(curve(cost))

    assert found <= 1.0 if expected < 1.0 else found == pytest.approx(expected)


def test_a_rise_within_the_tolerance_is_none():
    assert rise(curve(lambda n: 1000.0 * n + 0.1 * n**2)) == 1.0


def test_lengths_that_do_not_double_have_no_rise():
    assert rise([(1, 1.0), (2, 2.0)]) is None
    assert rise([(1, 1.0), (2, 2.0), (3, 3.0)]) is None


def test_counts_decide_whatever_a_busy_machine_did_to_the_seconds():
    linear, quadratic = (lambda n: 100.0 * n), (lambda n: 100.0 * n + 3.0 * n**2)
    slow = {128: 0.001, 256: 0.01, 512: 0.1}.__getitem__

    assert growth_of(measures(linear, seconds=slow)).word == SUB_QUADRATIC
    assert growth_of(measures(quadratic)).word == QUADRATIC


def test_elementwise_work_counts_too():
    assert growth_of(measures(lambda n: 100.0 * n, written=lambda n: 100 * n + n * n)).word == QUADRATIC


def test_without_a_count_seconds_show_what_is_quadratic_and_prove_nothing_else():
    nothing = lambda n: None  # noqa: E731

    assert growth_of(measures(nothing, seconds=lambda n: 1e-6 * n * n)).word == QUADRATIC
    assert growth_of(measures(nothing)).word is None


def test_the_state_grows_between_the_last_two_lengths():
    filling = [State(length=n, past=n // 2, ranks=(rank,)) for n, rank in ((32, 16), (64, 40), (128, 40))]

    assert growth_of(measures(lambda n: n, states=filling)).state == pytest.approx(0.0)
    assert growth_of(measures(lambda n: n)).state is None
