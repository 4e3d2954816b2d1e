"""The effective state against what is known of each mixer: probed at width 8 with 2 heads of 4 channels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from netwright.evaluator import loading
from netwright.evaluator.baselines import baseline
from netwright.evaluator.effective_state import layer_states, past_to_future, rank_between
from netwright.evaluator.tasks import load_task
from netwright.measures import PROBE_DIM as DIM

OUTER_PRODUCTS = 2 * 4 * 4
"""Per head a matrix from keys to values."""


def state(name: str, length: int, layers: int = 1) -> tuple[int, ...]:
    return layer_states(loading.load_factory(baseline(name).source, load_task("recall").spec), length, layers)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("linear_attention", OUTER_PRODUCTS + 2 * 4),  # and per head the normaliser
        ("retention", OUTER_PRODUCTS),
        ("gated_linear_attention", OUTER_PRODUCTS),
        ("delta_net", OUTER_PRODUCTS),
        ("gated_delta_net", OUTER_PRODUCTS),
        ("mamba2", OUTER_PRODUCTS),
        ("lstm", 2 * 4),  # the output and the cell of 9/16 of the width
    ],
)
def test_a_recurrence_carries_what_its_state_holds(name, numbers):
    assert state(name, 64) == pytest.approx((numbers,), abs=1)


@pytest.mark.parametrize("name", ["softmax_attention", "hyena", "ngram_heads", "mlp_mixer"])
def test_what_keeps_the_whole_past_carries_a_vector_for_each_position(name):
    for length in (32, 64):
        (rank,) = state(name, length)
        assert 0.9 * (length // 2 * DIM) <= rank <= length // 2 * DIM


def test_a_convolution_carries_its_last_inputs_at_any_length():
    assert state("gated_convolution", 32) == pytest.approx((7 * DIM,), abs=2)
    assert state("gated_convolution", 64) == pytest.approx((7 * DIM,), abs=2)


def test_a_window_stops_growing_once_it_is_full():
    shorter, short, long = (state("sliding_window_attention", length)[0] for length in (32, 64, 128))

    assert shorter < 0.6 * short
    assert long == pytest.approx(short, rel=0.02) and long <= 31 * DIM


def test_every_layer_of_a_hybrid_is_probed():
    convolution, attention = state("attention_convolution_hybrid", 64, layers=2)

    assert convolution < 60 and attention > 240


class RunningSum(nn.Module):
    """Carries one vector."""

    def __init__(self, dim: int = DIM, **_: object) -> None:
        super().__init__()
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        return self.out(torch.tanh(x).cumsum(1))


def test_what_computes_in_float32_has_the_same_state():
    class Single(RunningSum):
        def forward(self, x):
            return self.out(torch.tanh(x.float()).cumsum(1).to(x.dtype))

    assert layer_states(Single, 32, 1) == layer_states(RunningSum, 32, 1) == (DIM,)


def test_a_projection_that_begins_at_zero_does_not_hide_the_state():
    class Silent(RunningSum):
        def __init__(self, **options: int) -> None:
            super().__init__(**options)
            nn.init.zeros_(self.out.weight)

    assert layer_states(Silent, 32, 1) == (DIM,)


def test_what_mixes_no_positions_carries_nothing():
    assert rank_between(nn.Tanh(), torch.randn(16, 4)) == 0


def test_the_jacobian_is_that_of_the_outputs_after_the_middle_by_the_inputs_before_it():
    inputs = torch.randn(6, 2, dtype=torch.float64)

    def cumulated(x):
        return x.square().cumsum(1)

    whole = torch.autograd.functional.jacobian(lambda x: cumulated(x[None])[0], inputs)
    expected = whole[3:, :, :3].reshape(6, 6)

    assert torch.allclose(past_to_future(cumulated, inputs), expected)


def test_a_derivative_that_is_not_finite_is_no_rank():
    class Root(nn.Module):
        def forward(self, x):
            return torch.sqrt(x.cumsum(1) * 0.0)

    with pytest.raises(ValueError, match="not finite"):
        rank_between(Root(), torch.randn(8, 2))
