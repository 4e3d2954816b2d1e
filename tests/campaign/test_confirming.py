"""A confirmation with a real sandbox and memory: what a winner must repeat before anything is claimed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netwright.campaign.confirming import FIRST_FRESH_SEED, Confirmation, confirm_candidates
from netwright.config import CampaignConfig
from netwright.evaluator.baselines import CORE, baseline, rivals_of
from netwright.evaluator.tasks import load_task
from netwright.memory.store import Memory
from netwright.types import Candidate, Outcome, Scope, Split, Trial, TrialStatus

SEEDS = range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + 2)
MUCH_WORSE = (20.0, 20.1)
SOURCE = '''"""Running mean"""
import torch
{module}

class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)
        {init}

    def forward(self, x):
        if self.training and torch.is_grad_enabled():
            {training}
        position = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)
        return self.value(x).cumsum(1) / position[:, None]

    def train_on(self, x):
        """Learn to predict the next input, beside the training that everybody gets."""
        with torch.enable_grad():
            loss = (self.value(x.detach())[:, :-1] - x.detach()[:, 1:]).square().mean()
            (gradient,) = torch.autograd.grad(loss, self.value.weight)
        with torch.no_grad():
            self.value.weight.sub_(1e-3 * gradient)
'''
HONEST = {"module": "", "init": "pass", "training": "pass"}
UNTIL_THE_CLOCK = """end = time.monotonic() + 0.02
            while time.monotonic() < end:
                self.train_on(x)"""
ADDRESSES = "torch.nn.init.constant_(self.value.bias, (id(object()) >> 12) % 100_003 * 1e-6)"
HASHES = "torch.nn.init.constant_(self.value.bias, hash(object()) % 100_003 * 1e-6)"
CLOCK = "torch.nn.init.constant_(self.value.bias, time.time_ns() % 100_003 * 1e-6)"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    config = CampaignConfig(task="recall", rung_tokens=(8_192,), audit={"final_sheets": 1})
    task = load_task("recall", rung_tokens=config.rung_tokens)
    with Memory.open(tmp_path) as memory:
        memory.start_campaign("small", task.spec, 0, config.model_dump(mode="json") | {"in_flight": 1})
        yield memory


@pytest.fixture
def confirm(memory: Memory) -> Callable[..., tuple[Confirmation, list[str]]]:
    """Confirm candidates; their rivals are remembered as much worse, so that nobody trains them."""

    def run(*candidates: Candidate, repeats: int = 1) -> tuple[Confirmation, list[str]]:
        task = memory.campaign("small").task
        for candidate in candidates:
            memory.put_candidate(candidate)
        for rival in rivals_of(candidates[0], map(baseline, CORE)):
            memory.put_candidate(rival)
            for seed, loss in zip(SEEDS, MUCH_WORSE, strict=True):
                memory.put_trial(None, finished(rival, task.id, seed, loss))
        started: list[str] = []
        said = confirm_candidates(
            memory.home,
            [candidate.id for candidate in candidates],
            sandbox_flags={},
            campaign_name="small",
            seeds=len(SEEDS),
            repeats=repeats,
            rung=0,
            workers=2,
            on_progress=lambda number, _, what: started.append(what) if number < 0 else None,
        )
        return said, sorted(started)

    return run


def made_of(title: str = "Running mean", **parts: str) -> Candidate:
    source = SOURCE.format(**{**HONEST, **parts})
    return Candidate(source=source, scope=Scope.MIXER, title=title, hypothesis="", origin="file")


def finished(candidate: Candidate, task_id: str, seed: int, loss: float) -> Trial:
    return Trial(
        candidate_id=candidate.id,
        task_id=task_id,
        rung=0,
        seed=seed,
        split=Split.TEST,
        status=TrialStatus.DONE,
        loss_nats=loss,
    )


def test_a_winner_that_repeats_itself_bit_for_bit_may_be_called_better(confirm, memory):
    said, started = confirm(made_of())

    (winner,) = said.winners
    assert started == ["Running mean, seed 1000", "Running mean, seed 1000, once more", "Running mean, seed 1001"]
    assert [(each.seed, each.agrees) for each in said.repetitions] == [(1000, True)]
    assert {duel.comparison.outcome for duel in said.duels} == {Outcome.BETTER}
    assert said.sentence(winner).endswith("; trained again with seed 1000 it came to the same")
    mine = {"candidate_id": winner.candidate.id, "split": Split.TEST}
    assert len(winner.losses) == len(memory.trials(**mine)) == 2
    first, again = sorted(
        (trial for trial in memory.trials(**mine, everything=True) if trial.seed == 1000),
        key=lambda trial: trial.repeat,
    )
    assert (first.repeat, again.repeat) == (0, 1)
    assert first.weights == again.weights is not None
    assert (first.loss_nats, first.curve) == (again.loss_nats, again.curve)
    assert first.audit != again.audit  # on rows cut elsewhere


@pytest.mark.slow
def test_a_confirmation_that_was_interrupted_goes_on_with_what_is_missing(confirm):
    before, _ = confirm(made_of(), repeats=0)

    said, resumed = confirm(made_of(), repeats=2)
    again, nothing = confirm(made_of(), repeats=2)

    assert before.repetitions == ()
    assert before.sentence(before.winners[0]).endswith("; not trained a second time from the same source and seed")
    assert resumed == ["Running mean, seed 1000, once more", "Running mean, seed 1001, once more"]
    assert nothing == []
    assert again == said


@pytest.mark.slow
def test_winners_whose_results_source_and_seed_do_not_determine_are_better_than_nobody(confirm):
    made = [
        made_of("Trains on until the clock says stop", module="import time", training=UNTIL_THE_CLOCK),
        made_of("Time of day", module="import time", init=CLOCK),
        made_of("Addresses", init=ADDRESSES),
        made_of("Hashes of objects", init=HASHES),
    ]

    said, _ = confirm(*made)

    assert [(each.candidate_id, each.agrees) for each in said.repetitions] == [(each.id, False) for each in made]
    assert all(len(winner.losses) == 2 for winner in said.winners)
    assert {duel.comparison.outcome for duel in said.duels} == {Outcome.NO_DIFFERENCE}
    assert all("trained again with seed 1000 it came to" in duel.comparison.reason for duel in said.duels)
    for winner in said.winners:
        sentence = said.sentence(winner)
        assert ": better than 0 of 7 rivals, no difference from 7, worse than 0" in sentence
        assert "source and seed do not determine its result, so it is never called better" in sentence
