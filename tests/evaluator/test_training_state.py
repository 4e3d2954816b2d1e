"""A training that is taken down and put up again ends as if nothing had been between, bit for bit."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from netwright.evaluator import loading, training, training_state
from netwright.evaluator.tasks import load_task, training_batches
from netwright.types import Recipe

TASK = load_task("recall")
SPEC = TASK.spec.model_copy(update={"dim": 16, "heads": 2, "parameters": 12_000})
STEPS = 24


class Mixer(nn.Module):
    """Draws at random in training, and has parameters of several kinds, one of them never used."""

    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = nn.Linear(dim, dim)
        self.phase = nn.Parameter(torch.randn(dim, dtype=torch.cfloat))
        self.coarse = nn.Parameter(torch.ones(dim, dtype=torch.bfloat16))
        self.unused = nn.Parameter(torch.zeros(3))
        self.register_buffer("seen", torch.zeros(()))
        self.dropout = nn.Dropout(0.2)

    def forward(self, x):
        self.seen += 1
        turned = torch.view_as_real(torch.view_as_complex(torch.stack([x, x], -1)) * self.phase).sum(-1)
        return self.dropout(self.value(turned) * self.coarse.float()).cumsum(dim=1)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def trained(recipe: Recipe, **sessions):
    """The weights, the curve and the randomness that one session leaves; `done` steps are behind it."""
    done = sessions.pop("done", 0)
    torch.manual_seed(7)
    network = loading.seeded_network(SPEC, Mixer, seed=3, dropout=recipe.dropout)
    batches = training_batches(SPEC, TASK.training_data(), seed=3, batch_size=recipe.batch_size, skip=done)
    outcome = training.train(network, batches, SPEC, recipe, steps=STEPS, on_progress=lambda progress: None, **sessions)
    return loading.pack_weights(network), outcome.curve, torch.rand(3).tolist(), outcome.steps


@pytest.mark.parametrize("at", [1, 11, STEPS - 1])
@pytest.mark.parametrize(
    "recipe",
    [Recipe(batch_size=8, dropout=0.1), Recipe(batch_size=5, optimizer="sgd", lr=0.05, schedule="linear")],
    ids=["adamw", "sgd"],
)
def test_going_on_is_the_same_as_never_having_stopped(recipe, at):
    kept = []

    def keep(standing):
        if standing.step == at:
            kept.append(training_state.packed(standing))

    whole = trained(recipe, keep=keep)
    rest = trained(recipe, done=at, go_on=lambda standing: training_state.unpack(standing, kept[0], step=at))

    assert rest == whole


@pytest.mark.parametrize("feed", ["stream", "rows"])
def test_batches_that_are_skipped_are_those_that_were_seen(feed):
    spec = TASK.spec.model_copy(update={"feed": feed, "hand": 1})
    data = TASK.training_data() if feed == "rows" else bytes(range(48)) * 99
    size = 7 if feed == "stream" else 4_000

    seen = training_batches(spec, data, seed=1, batch_size=size)
    late = training_batches(spec, data, seed=1, batch_size=size, skip=8)

    for one, other in zip(itertools.islice(seen, 8, 11), late, strict=False):
        assert (one.inputs == other.inputs).all()
        assert (one.targets == other.targets).all()


def test_the_state_of_another_network_is_refused():
    standing = training.Standing(nn.Linear(2, 2), torch.optim.SGD([torch.zeros(1)]), training.Curve(STEPS))
    other = training.Standing(nn.Sequential(nn.Linear(2, 2)), torch.optim.SGD([torch.zeros(1)]), training.Curve(STEPS))

    with pytest.raises(loading.CandidateError, match="differ in"):
        training_state.unpack(other, training_state.packed(standing), step=5)
