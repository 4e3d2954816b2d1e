"""What is measured of a network in use: each figure by itself, on networks whose costs are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from netwright.evaluator import measuring
from netwright.evaluator.baselines import mlp_mixer
from netwright.evaluator.measuring import infer, lengthened, measure, watch
from netwright.evaluator.replies import MeasureReply, parse_reply
from netwright.evaluator.tasks import load_task
from netwright.types import Recipe

SPEC = load_task("recall").spec.model_copy(
    update={"dim": 16, "heads": 2, "parameters": 12_000, "max_len": 16, "recipe": Recipe(batch_size=4)}
)


class Running(nn.Module):
    """A causal sum of what came before."""

    def __init__(self, dim: int, max_len: int, **_: object) -> None:
        super().__init__()
        self.value = nn.Linear(dim, dim)

    def forward(self, x):
        return self.value(x).cumsum(1)


def test_operations_write_their_results_and_views_write_nothing():
    class Twice(nn.Module):
        def forward(self, x):
            return (x.view(10, 10).t() + 1.0).relu_().reshape(100)[:50]

    written, peak = watch(Twice(), torch.zeros(100))

    assert written == 100 + 100 + 100  # the sum, the ReLU in its place, and the copy that reshape makes
    assert peak >= 2 * 400


def test_memory_that_is_let_go_is_not_counted_again():
    class Chain(nn.Module):
        def forward(self, x):
            for _ in range(50):
                x = x + 1.0
            return x

    assert watch(Chain(), torch.zeros(100))[1] == 2 * 400


def test_each_length_is_measured_alone_and_in_a_batch():
    one = infer(SPEC, Running, 32, "cpu")

    assert one.length == 32 and one.seconds > 0.0 and one.batch_seconds > 0.0
    assert one.flops == 2 * infer(SPEC, Running, 16, "cpu").flops


def test_what_has_parameters_for_every_position_does_not_pay_with_narrower_mlps():
    longer = infer(SPEC, mlp_mixer.Mixer, 64, "cpu")

    assert lengthened(SPEC, mlp_mixer.Mixer, 64).parameters > SPEC.parameters
    assert longer.flops > 4 * infer(SPEC, mlp_mixer.Mixer, 16, "cpu").flops


def test_all_lengths_and_the_state_of_every_layer_are_found():
    found = measure(SPEC, Running)

    assert [each.length for each in found.inference] == [16, 32, 64]
    assert [(each.length, each.past, len(each.ranks)) for each in found.states] == [
        (32, 16, 2),
        (64, 32, 2),
        (128, 64, 2),
    ]
    assert found.problems == []


def test_a_length_that_fails_is_a_problem_and_the_rest_goes_on():
    class Short(Running):
        def forward(self, x):
            if x.shape[1] == 32:
                raise RuntimeError("only 16 tokens")
            return super().forward(x)

    found = measure(SPEC, Short)

    assert [each.length for each in found.inference] == [16]
    assert found.states == []
    assert found.problems == [
        "inference, length 32: RuntimeError: only 16 tokens",
        "state, length 32: RuntimeError: only 16 tokens",
    ]


def test_what_is_not_known_in_time_stays_unknown(monkeypatch):
    monkeypatch.setattr(measuring, "BEGIN_SECONDS", -1.0)

    found = measure(SPEC, Running)

    assert (found.inference, found.states) == ([], [])
    assert "left out" in found.problems[0]


def test_rows_of_numbers_have_one_length_and_no_state():
    spec = load_task("tabular-wine").spec

    found = measure(spec, lambda model: nn.Linear(model.input_shape[0], model.num_classes))

    assert [(each.length, each.flops) for each in found.inference] == [(1, 2 * 13 * 3)]
    assert (found.states, found.problems) == ([], [])


def test_flops_of_what_needs_real_data_are_unknown():
    class Counting(Running):
        def forward(self, x):
            return super().forward(x) * float(x.sum() != 0)

    assert infer(SPEC, Counting, 16, "cpu").flops is None


@pytest.mark.parametrize("scope", ["block", "mixer"])
def test_blocks_have_a_state_as_mixers_have(scope):
    found = measure(SPEC.model_copy(update={"scope": scope}), Running)

    assert [each.ranks for each in found.states] == [(8, 8)] * 3


@pytest.mark.parametrize(
    "claim",
    [
        {"inference": [{"length": 64}, {"length": 64}]},
        {"inference": [{"length": 64, "seconds": 0.0}]},
        {"inference": [{"length": 64, "flops": float("inf")}]},
        {"states": [{"length": 64, "past": 32, "ranks": [1]}, {"length": 32, "past": 16, "ranks": [1]}]},
        {"problems": ["x" * 301]},
    ],
)
def test_a_claim_that_makes_no_sense_makes_the_whole_reply_worthless(claim):
    honest = {"status": "done", "reason": ""}

    assert parse_reply(honest, MeasureReply) is not None
    assert parse_reply(honest | claim, MeasureReply) is None
