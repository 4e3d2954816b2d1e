"""A confirmation with a real sandbox and memory: what a winner must repeat before anything is claimed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netwright.campaign.confirming import FIRST_FRESH_SEED, Confirmation, confirm_candidates
from netwright.campaign.locked import open_locked
from netwright.config import CampaignConfig, ConfirmConfig
from netwright.config_file import confirm_settings
from netwright.errors import ConfigError
from netwright.evaluator.baselines import CORE, baseline, rivals_of
from netwright.evaluator.tasks import load_task
from netwright.memory.records import Opening
from netwright.memory.store import Memory
from netwright.types import SWEEP_SEEDS, Candidate, Outcome, Scope, Split, Trial, TrialStatus, Usage

SEEDS = range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + 2)
MUCH_WORSE = (20.0, 20.1, 20.2)
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
    config = CampaignConfig(task="recall", rung_tokens=(2_048,), audit={"final_sheets": 1})
    task = load_task("recall", rung_tokens=config.rung_tokens)
    with Memory.open(tmp_path) as memory:
        memory.start_campaign("small", task.spec, 0, config.model_dump(mode="json") | {"in_flight": 1})
        yield memory


@pytest.fixture
def confirm(memory: Memory) -> Callable[..., tuple[Confirmation, list[str]]]:
    """Confirm candidates; their rivals are remembered as much worse, and swept, so that nobody trains them."""

    def run(
        *candidates: Candidate,
        repeats: int = 1,
        rates: tuple[float, ...] = (1.0,),
        seeds: int = len(SEEDS),
        say: Callable[[str], None] = lambda _: None,
        on_progress: Callable[[int, int, str], None] | None = None,
    ) -> tuple[Confirmation, list[str]]:
        task = memory.campaign("small").task
        for candidate in candidates:
            memory.put_candidate(candidate)
        for rival in rivals_of(candidates[0], map(baseline, CORE)):
            memory.put_candidate(rival)
            for seed, loss in enumerate(MUCH_WORSE, FIRST_FRESH_SEED):
                memory.put_trial(None, finished(rival, task.id, seed, loss))
            for rate in rates:
                swept = {"rate": rate, "seed": SWEEP_SEEDS[0], "split": Split.VALIDATION}
                memory.put_trial(None, finished(rival, task.id, loss=20.0 + abs(rate - 1.0)).model_copy(update=swept))
        started: list[str] = []
        said = confirm_candidates(
            memory.home,
            [candidate.id for candidate in candidates],
            sandbox_flags={},
            campaign_name="small",
            seeds=seeds,
            repeats=repeats,
            rung=0,
            workers=2,
            on_progress=on_progress or (lambda number, _, what: started.append(what) if number < 0 else None),
            flags={"rates": rates},
            say=say,
        )
        return said, sorted(started)

    return run


def made_of(title: str = "Running mean", **parts: str) -> Candidate:
    source = SOURCE.format(**{**HONEST, **parts})
    return Candidate(source=source, scope=Scope.MIXER, title=title, hypothesis="", origin="file")


def finished(candidate: Candidate, task_id: str, seed: int = FIRST_FRESH_SEED, loss: float = 1.0) -> Trial:
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


# -- learning rates --------------------------------------------------------------------------------------------


FACTORS = (1.0, 4.0, 400.0)


def test_everybody_is_scored_on_the_locked_split_at_the_best_factor_of_the_same_sweep(confirm, memory):
    task_id, design = memory.campaign("small").task.id, made_of()
    memory.put_candidate(design)
    swept = {"seed": SWEEP_SEEDS[0], "split": Split.VALIDATION}
    for rate, loss in ((1.0, 1.3), (4.0, 1.2)):
        memory.put_trial(None, finished(design, task_id, loss=loss).model_copy(update={**swept, "rate": rate}))
    failed = {"status": TrialStatus.DIVERGED, "loss_nats": None, "reason": "at step 7", "rate": 400.0}
    memory.put_trial(None, finished(design, task_id).model_copy(update={**swept, **failed}))
    for seed in SEEDS:
        memory.put_trial(None, finished(design, task_id, seed, loss=1.0).model_copy(update={"rate": 4.0}))

    said, started = confirm(design, repeats=0, rates=FACTORS)

    (winner,) = said.winners
    assert started == []
    assert (winner.rate, winner.losses) == (4.0, (1.0, 1.0))
    assert said.learning_rates[design.id].left_out == {400.0: "diverged: at step 7"}
    told = "each at its best of lr x 1, 4, 400 by the same sweep on the validation split, here x 4"
    assert told in said.sentence(winner)
    assert {row.rate for row in said.rows if row.role == "baseline"} == {1.0}
    assert said.at_the_edge.startswith(f"{len(said.rows) - 1} of {len(said.rows)} took the smallest or largest")
    assert [look.rate for look in memory.openings(task_id) if look.candidate_id == design.id] == [4.0]


@pytest.mark.slow
def test_a_sweep_is_trained_once_and_found_again(confirm, memory):
    heard: list[str] = []

    said, started = confirm(made_of(), repeats=0, rates=FACTORS, say=heard.append)
    again, nothing = confirm(made_of(), repeats=0, rates=FACTORS)

    (winner,) = said.winners
    sweep = said.learning_rates[winner.candidate.id]
    assert heard[0] == "5 trainings (3 of them to choose learning rates)"
    assert {"Running mean, seed 500", "Running mean, seed 500, lr x 4"} < set(started)
    assert winner.rate == sweep.rate == min(sweep.losses, key=sweep.losses.__getitem__)
    assert list(sweep.losses) == [1.0, 4.0]
    assert sweep.left_out[400.0].startswith("crashed: 400 times the learning rate")
    locked = memory.trials(candidate_id=winner.candidate.id, split=Split.TEST, everything=True)
    assert sorted((trial.seed, trial.rate) for trial in locked) == [(seed, winner.rate) for seed in SEEDS]
    assert nothing == []
    assert again == said


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        (["abc"], "confirm.rates.0: expected a number, got 'abc'"),
        (["1", "-2"], "confirm.rates.1: expected at least 0.001, got '-2'"),
        (["1", "1.0"], "at least one factor on the learning rate and each once"),
        ([], "at least one factor"),
    ],
)
def test_factors_that_make_no_sweep_are_refused(rates: list[str], reason: str):
    with pytest.raises(ConfigError, match=reason):
        confirm_settings(ConfirmConfig(), {"rates": rates})


def test_flags_lie_over_the_settings_of_the_campaign():
    configured = ConfirmConfig(rates=(0.3, 1.0, 3.0), sweep_seeds=2)

    assert confirm_settings(configured, {"rates": None, "sweep_seeds": None}) == configured
    assert confirm_settings(configured, {"rates": ["1"], "sweep_seeds": None}).rates == (1.0,)


# -- looks at the locked split ---------------------------------------------------------------------------------


@pytest.fixture
def remembered(memory: Memory) -> Candidate:
    """A design whose locked trials with three seeds are known already: a confirmation has nothing to train."""
    candidate = made_of()
    memory.put_candidate(candidate)
    for number, loss in enumerate((1.0, 1.1, 1.2)):
        memory.put_trial(None, finished(candidate, memory.campaign("small").task.id, FIRST_FRESH_SEED + number, loss))
    return candidate


def test_asking_the_locked_split_for_more_is_told_from_the_first_look(confirm, memory, remembered):
    heard: list[list[str]] = [[], [], []]

    first, _ = confirm(remembered, repeats=0, say=heard[0].append)
    same, _ = confirm(remembered, repeats=0, say=heard[1].append)
    more, _ = confirm(remembered, repeats=0, seeds=3, say=heard[2].append)

    assert heard[0] == heard[1] == ["nothing to train: all of it is in the memory"]
    assert "was opened before, for 1 design (for Running mean 1 time)" in heard[2][1]
    assert "this look is worth less than the first" in heard[2][1]
    assert same == first
    assert "opened once for it before, so this look is worth less" in more.sentence(more.winners[0])
    assert "worth less" not in first.sentence(first.winners[0])
    assert (first.opened, more.opened) == (1, 1)
    looks = [look.seeds for look in memory.openings(first.task_id) if look.candidate_id == remembered.id]
    assert looks == [(1000, 1001), (1000, 1001, 1002)]


def test_a_look_at_a_suite_is_one_at_each_of_its_tasks(memory, remembered):
    suite = load_task("suite")
    memory.put_task(suite.spec)
    look = Opening(task_id=suite.spec.id, rung=0, candidate_id=remembered.id, seeds=(1000,))

    open_locked(memory, memory.campaign("small").id, suite, [look], print)

    opened = [memory.openings(task.spec.id) for task in (suite, *suite.tasks)]
    assert [[(each.candidate_id, each.seeds) for each in looks] for looks in opened] == [
        [(remembered.id, (1000,))] for _ in (suite, *suite.tasks)
    ]


def test_what_it_will_cost_is_told_before_anything_is_trained(confirm, memory, remembered):
    minute = {"split": Split.VALIDATION, "seed": 0, "usage": Usage(wall_seconds=60.0)}
    memory.put_trial(None, finished(remembered, memory.campaign("small").task.id).model_copy(update=minute))
    heard: list[str] = []

    def killed(number: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        confirm(remembered, repeats=1, seeds=5, say=heard.append, on_progress=killed)

    # Two more seeds for the design and seven rivals, and one repetition, two at a time.
    assert heard[0] == "17 trainings, about 8 min with 2 at a time"


def test_a_look_that_was_cut_short_counts_and_going_on_with_it_is_no_second_one(confirm, memory, remembered):
    heard: list[str] = []

    def killed(number: int, total: int, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        confirm(remembered, repeats=0, on_progress=killed)
    (look,) = [each for each in memory.openings(memory.campaign("small").task.id) if each.candidate_id == remembered.id]
    said, _ = confirm(remembered, repeats=0, say=heard.append)

    assert look.seeds == (1000, 1001)
    assert not any("opened before" in sentence for sentence in heard)
    assert "worth less" not in said.sentence(said.winners[0])
