"""Several seeds trained as one batch of networks: each comes to what it comes to alone, or is not trained so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from netwright.evaluator import loading, training
from netwright.evaluator.seeding import seed_all
from netwright.evaluator.seeds_at_once import disagreement, train_at_once
from netwright.evaluator.tasks import training_batches
from netwright.evaluator.tasks.base import Batch
from netwright.types import Recipe, Rung, Scope, TaskSpec

RECIPE = Recipe(batch_size=4, weight_decay=0.5, grad_clip=0.05)
SPEC = TaskSpec(
    name="cycle",
    summary="",
    scope=Scope.MIXER,
    vocab_size=16,
    max_len=16,
    dim=16,
    heads=2,
    layers=2,
    parameters=6_000,
    metric="loss",
    recipe=RECIPE,
    rungs=(Rung(level=0, tokens=1_280),),
    validation_rows=4,
    test_rows=4,
)
SEEDS = (3, 4, 5)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class Mixer(nn.Module):
    """Has a matrix, a vector, a scalar, a buffer that training moves, and parts that every network shares by value."""

    count: Tensor

    def __init__(self, dim: int, heads: int, max_len: int, layer: int, layers: int) -> None:
        super().__init__()
        self.value = nn.Linear(dim, dim)
        self.gain = nn.Parameter(torch.randn(()))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count.add_(x.detach().mean())
        steps = torch.arange(1, x.shape[1] + 1)[:, None]
        return self.gain * self.value(x).cumsum(dim=1) / steps


class Dropout(Mixer):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), 0.1, self.training)


class Recurrent(Mixer):
    def __init__(self, dim: int, **others: int) -> None:
        super().__init__(dim, **others)
        self.recurrence = nn.LSTM(dim, dim, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.recurrence(x)[0])


class Branching(Mixer):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if float(x.sum()) > 0 else x


class Unregistered(Mixer):
    """Draws a tensor by its seed that is no parameter and no buffer, so that a stack does not hold it."""

    def __init__(self, dim: int, **others: int) -> None:
        super().__init__(dim, **others)
        self.mask = torch.randn(dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.mask)


class Rebound(Mixer):
    """Gives its buffer another tensor, which a stack never hears of."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        self.count = self.count + 1.0
        return y


def build(mixer: type[nn.Module]) -> Callable[[int], nn.Module]:
    return lambda seed: loading.seeded_network(SPEC, mixer, seed=seed)


def feed(seed: int) -> Iterator[Batch]:
    return training_batches(SPEC, bytes(range(16)) * 64, seed=seed, batch_size=RECIPE.batch_size)


def alone(network: nn.Module, seed: int, recipe: Recipe, steps: int) -> training.Outcome:
    seed_all(seed)
    return training.train(network, feed(seed), SPEC, recipe, steps=steps, on_progress=lambda progress: None)


def at_once(networks: list[nn.Module], recipe: Recipe, steps: int) -> tuple[training.Outcome, ...]:
    feeds = [feed(seed) for seed in SEEDS]
    return train_at_once(networks, feeds, SPEC, recipe, steps=steps, on_progress=lambda progress: None)


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("recipe", [RECIPE, RECIPE.model_copy(update={"optimizer": "sgd", "lr": 0.3})])
def test_every_seed_comes_to_the_weights_and_losses_that_it_comes_to_alone(recipe):
    together = [build(Mixer)(seed) for seed in SEEDS]

    outcomes = at_once(together, recipe, steps=12)

    for seed, network, outcome in zip(SEEDS, together, outcomes, strict=True):
        reference = build(Mixer)(seed)
        expected = alone(reference, seed, recipe, steps=12)
        torch.testing.assert_close(state(network), state(reference), rtol=1e-3, atol=1e-5)
        assert list(outcome.curve) == [(step, pytest.approx(loss, rel=1e-4, abs=1e-4)) for step, loss in expected.curve]


def test_seeds_at_once_give_the_same_bits_every_time():
    first, second = ([build(Mixer)(seed) for seed in SEEDS] for _ in range(2))

    at_once(first, RECIPE, steps=8)
    at_once(second, RECIPE, steps=8)

    assert [loading.pack_weights(network) for network in first] == [loading.pack_weights(n) for n in second]
    assert len({loading.pack_weights(network) for network in first}) == len(SEEDS)


def test_a_seed_that_diverges_ends_by_itself():
    networks = [build(Mixer)(seed) for seed in SEEDS]
    with torch.no_grad():
        next(networks[1].parameters()).fill_(float("nan"))

    outcomes = at_once(networks, RECIPE, steps=6)

    reference = build(Mixer)(SEEDS[2])
    alone(reference, SEEDS[2], RECIPE, steps=6)
    assert [outcome.diverged_at for outcome in outcomes] == [None, 0, None]
    assert [outcome.steps for outcome in outcomes] == [6, 0, 6]
    torch.testing.assert_close(state(networks[2]), state(reference), rtol=1e-3, atol=1e-5)


def test_an_architecture_that_runs_as_a_batch_may_be_trained_so():
    assert disagreement(SEEDS, build(Mixer), feed, SPEC, RECIPE) == ""


@pytest.mark.parametrize(
    ("mixer", "why"),
    [
        (Dropout, "torch.vmap does not run it: .*random"),
        (Recurrent, "torch.vmap does not run it: .*lstm"),
        (Branching, "torch.vmap does not run it: .*item"),
        (Unregistered, "with seed 4 the loss of step 1 is"),
        (Rebound, "with seed 3 the buffer 'layers.0.mixer.count' is not what it is alone"),
    ],
)
def test_an_architecture_that_comes_to_something_else_is_trained_alone(mixer, why):
    found = disagreement(SEEDS, build(mixer), feed, SPEC, RECIPE)

    assert re.match(why, found), found
