import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from netwright.evaluator import budget, counts, loading, training
from netwright.evaluator.tasks import training_batches
from netwright.evaluator.tasks.base import UNSCORED, Batch
from netwright.types import Recipe, Rung, Scope, TaskSpec

SPEC = TaskSpec(
    name="recall",
    summary="",
    scope=Scope.MIXER,
    vocab_size=16,
    max_len=16,
    dim=16,
    heads=2,
    layers=1,
    parameters=4_000,
    metric="loss",
    recipe=Recipe(batch_size=8),
    rungs=(Rung(level=0, tokens=1_280), Rung(level=1, tokens=100)),
    validation_rows=4,
    test_rows=4,
    options={"keys": 8, "values": 8, "min_pairs": 1, "max_pairs": 4},
)

DATA = bytes(range(SPEC.vocab_size)) * 256


class Mixer(nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        return self.dropout(self.value(x)).cumsum(dim=1)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def trained(seed: int, steps: int = 10, recipe: Recipe = SPEC.recipe, network: nn.Module | None = None):
    network = network or loading.seeded_network(SPEC, Mixer, seed=seed)
    batches = training_batches(SPEC, DATA, seed=seed, batch_size=recipe.batch_size)
    told = []
    outcome = training.train(network, batches, SPEC, recipe, steps=steps, on_progress=told.append)
    return network, outcome, told


def test_equal_seeds_give_equal_weights_bit_for_bit():
    first, second, other = (loading.pack_weights(trained(seed)[0]) for seed in (5, 5, 6))

    assert first == second
    assert first != other


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_training_lowers_the_loss_and_reports_a_curve(optimizer):
    recipe = Recipe(batch_size=8, optimizer=optimizer, lr=0.02 if optimizer == "adamw" else 0.1)

    _, outcome, told = trained(1, steps=150, recipe=recipe)

    losses = [loss for _, loss in outcome.curve]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.2
    assert len(losses) <= training.CURVE_POINTS + 2
    assert (told[0].step, told[-1].step, told[-1].steps) == (1, 150, 150)


def test_the_token_budget_buys_whole_steps():
    assert budget.step_count(SPEC, SPEC.recipe, tokens=1_280) == 1_280 // (8 * 16)
    assert budget.step_count(SPEC, Recipe(batch_size=16), tokens=1_280) == 1_280 // (16 * 16)


@pytest.mark.parametrize("batch_size", [1, 8, 60, 80, 81, 1024])
@pytest.mark.parametrize("paid", [1_280, 100])
def test_no_batch_size_buys_more_tokens_than_were_paid_for(batch_size, paid):
    recipe = Recipe(batch_size=batch_size)

    steps = budget.step_count(SPEC, recipe, tokens=paid)

    assert 0 < budget.tokens_of(SPEC, recipe, steps, tokens=paid) <= paid


@pytest.mark.parametrize(("schedule", "last"), [("cosine", 0.1), ("linear", 0.1), ("constant", 1.0)])
def test_the_rate_climbs_and_falls_to_its_last_share(schedule, last):
    recipe = Recipe(lr=0.5, warmup=0.1, schedule=schedule)

    rates = [training.learning_rate(recipe, step, 100) for step in range(100)]

    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.5 * last)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_one_step_and_no_warmup_are_fine():
    assert training.learning_rate(Recipe(lr=0.1, warmup=0.0), 0, 1) == pytest.approx(0.1)
    assert training.learning_rate(Recipe(lr=0.1, warmup=0.5), 0, 1) == pytest.approx(0.1)


def test_weight_decay_acts_on_matrices_only():
    network = loading.seeded_network(SPEC, Mixer, seed=0)

    optimizer = training.make_optimizer(network, Recipe(weight_decay=0.3))

    decay = {p.dim(): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay == {1: 0.0, 2: 0.3}


def test_a_loss_that_is_not_finite_ends_the_training_without_a_number():
    class Explodes(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(16))
            self.calls = 0

        def forward(self, tokens):
            self.calls += 1
            logits = self.weight.expand(*tokens.shape, 16)
            return logits * float("nan") if self.calls == 4 else logits

    _, outcome, _ = trained(0, network=Explodes())

    assert outcome.diverged_at == 3
    assert outcome.steps == 3
    assert all(math.isfinite(loss) for _, loss in outcome.curve)


def test_only_scored_positions_count():
    tokens = np.zeros((1, 4), dtype=np.int32)
    targets = np.array([[UNSCORED, 1, UNSCORED, UNSCORED]], dtype=np.int32)
    logits = torch.zeros(1, 4, 8)
    logits[0, 1, 1] = 50.0

    loss = training.batch_loss(lambda _: logits, Batch(tokens, targets), SPEC)

    assert float(loss) == pytest.approx(0.0, abs=1e-6)


def test_weights_survive_packing_with_tied_complex_and_low_precision_tensors():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight = self.first.weight
            self.phase = nn.Parameter(torch.randn(4, dtype=torch.cfloat))
            self.coarse = nn.Parameter(torch.randn(4, dtype=torch.bfloat16))
            self.register_buffer("count", torch.tensor([3]))
            self.register_buffer("unsaved", torch.randn(4), persistent=False)

    packed, other = Odd(), Odd()

    data = loading.pack_weights(packed)
    loading.unpack_weights(other, data)

    for name, tensor in itertools.chain(packed.named_parameters(), [("count", packed.count)]):
        assert torch.equal(dict(other.state_dict())[name], tensor)
    assert not torch.equal(packed.unsaved, other.unsaved)
    assert other.second.weight is other.first.weight


def test_weights_of_another_network_are_refused():
    with pytest.raises(loading.CandidateError, match=r"differ in '(bias|0\.bias)'"):
        loading.unpack_weights(nn.Sequential(nn.Linear(2, 2)), loading.pack_weights(nn.Linear(2, 2)))


def test_flops_are_counted_per_token_and_missing_where_they_cannot_be():
    class NeedsData(Mixer):
        def forward(self, x):
            return x * float(x.sum())

    # Embedding and norms do not count; V x D head, D x D mixer, MLP of the width the budget leaves.
    network = loading.seeded_network(SPEC, Mixer, seed=0)
    matrices = sum(p.numel() for n, p in network.named_parameters() if n.endswith("weight") and p.dim() == 2)
    expected = 2 * (matrices - 16 * 16 - 4 * 16)

    assert counts.flops_per_token(SPEC, Mixer) == expected
    assert counts.flops_per_token(SPEC, NeedsData) is None


def test_a_training_is_over_in_the_stated_steps():
    _, outcome, _ = trained(0, steps=7)

    assert dataclasses.asdict(outcome)["steps"] == 7
    assert [step for step, _ in outcome.curve] == [1, 2, 3, 4, 5, 6, 7]
