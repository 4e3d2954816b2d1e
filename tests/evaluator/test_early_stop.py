"""Trainings that are hopeless beside finished ones are ended; those that may still come to something are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import pytest

from netwright.evaluator.early_stop import GRACE, TRAININGS_MIN, Follower, LearningCurve, hopeless
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.replies import Progress
from netwright.evaluator.tasks import Task, load_task
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Recipe, Rung, Scope, Trial, TrialStatus

STEPS = 100
SOURCE = '''"""Running mean"""
import torch

RECIPE = {"lr": %g}

class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.value = torch.nn.Linear(dim, dim)

    def forward(self, x):
        position = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)
        return self.value(x).cumsum(1) / position[:, None]
'''


def curve(loss: Callable[[float], float], *, until: float = 1.0, steps: int = STEPS) -> LearningCurve:
    """A training whose loss is a function of the share of the steps, followed to the share `until`."""
    marks = range(steps // 50, round(until * steps) + 1, steps // 50)
    return LearningCurve(tuple((step, loss(step / steps)) for step in marks), steps)


def falling(end: float) -> Callable[[float], float]:
    return lambda share: end + (4.0 - end) * (1.0 - share) ** 2


def sudden(when: float) -> Callable[[float], float]:
    """At chance until it is found out how the task goes."""
    return lambda share: 3.2 if share < when else max(0.1, 3.2 - 12 * (share - when))


TEXT = [curve(falling(end)) for end in (1.7, 1.7, 1.8, 1.8, 1.9, 1.9, 2.0, 2.0, 2.2, 2.2)]
RECALL = [curve(sudden(when)) for when in (0.2, 0.25, 0.3, 0.45, 0.9, 2.0, 2.0, 2.0, 2.0, 2.0)]


def test_a_training_far_behind_those_that_ended_well_is_ended_with_the_numbers():
    reason = hopeless(curve(falling(2.8), until=0.5), TEXT)

    assert reason.startswith("training loss 3.")
    assert "at step 50 of 100; 10 of 10 known trainings were lower there" in reason


@pytest.mark.parametrize("end", [1.6, 1.8, 1.9])
def test_a_training_that_may_end_in_the_better_half_goes_on(end):
    assert not any(hopeless(curve(falling(end), until=mark / 50), TEXT) for mark in range(1, 51))


def test_nothing_is_ended_before_the_grace_is_over_or_when_all_is_paid_for():
    def hopeless_one(share: float) -> float:
        return 5.0

    assert not hopeless(curve(hopeless_one, until=GRACE - 0.02), TEXT)
    assert hopeless(curve(hopeless_one, until=GRACE), TEXT)
    assert not hopeless(curve(hopeless_one, until=1.0), TEXT)


@pytest.mark.parametrize("when", [0.5, 0.7, 0.9])
def test_a_late_discoverer_is_left_at_chance_as_long_as_it_takes(when):
    assert not any(hopeless(curve(sudden(when), until=mark / 50), RECALL) for mark in range(1, 51))


def test_where_all_are_at_chance_a_little_less_luck_ends_nothing():
    known = [curve(lambda share: 3.2) for _ in range(10)]

    assert not hopeless(curve(lambda share: 3.25, until=0.6), known)
    assert hopeless(curve(lambda share: 3.6, until=0.6), known)


def test_trainings_of_other_lengths_are_compared_at_equal_shares_of_their_steps():
    longer = [curve(falling(end), steps=400) for end in (1.7, 1.7, 1.8, 1.8, 1.9, 1.9, 2.0, 2.0)]

    assert not hopeless(curve(falling(1.8), until=0.5), longer)
    assert "at step 50 of 100" in hopeless(curve(falling(2.9), until=0.5), longer)


def trials(curves: Sequence[LearningCurve]) -> list[Trial]:
    return [
        Trial(
            candidate_id="known",
            task_id="task",
            rung=0,
            seed=seed,
            status=TrialStatus.DONE,
            loss_nats=each.points[-1][1],
            curve=each.points,
            steps=each.steps,
        )
        for seed, each in enumerate(curves)
    ]


def told(follower: Follower, loss: float, steps: Sequence[int]) -> list[str]:
    return [follower.hear(Progress(step=step, steps=STEPS, loss=loss, point=True)) for step in steps]


def test_with_few_known_trainings_nothing_is_ended():
    assert not any(told(Follower(trials(TEXT[: TRAININGS_MIN - 1]), STEPS), 9.0, range(2, STEPS, 2)))
    assert any(told(Follower(trials(TEXT[:TRAININGS_MIN]), STEPS), 9.0, range(2, STEPS, 2)))


def test_a_training_that_has_to_begin_again_is_not_held_to_what_it_said_before():
    follower = Follower(trials(TEXT), STEPS)
    told(follower, 9.0, range(2, 28, 2))

    assert not any(told(follower, 2.0, range(2, 60, 2)))


@pytest.fixture(scope="module")
def task() -> Task:
    recall = load_task("recall")
    changes = {
        "dim": 16,
        "heads": 2,
        "parameters": 12_000,
        "recipe": Recipe(batch_size=8),
        "rungs": (Rung(level=0, tokens=51_200), Rung(level=1, tokens=102_400)),
        "validation_rows": 32,
        "test_rows": 48,
    }
    return dataclasses.replace(recall, spec=recall.spec.model_copy(update=changes))  # type: ignore[type-var]


@pytest.fixture(scope="module")
def laboratory(task: Task) -> Iterator[Laboratory]:
    with Sandbox(
        slots=1, entries=Laboratory.ENTRIES, warm_zygote=Laboratory.WARM_ZYGOTE, warm_child=Laboratory.WARM_CHILD
    ) as sandbox:
        yield Laboratory(sandbox, task, bytes(32))


def candidate(rate: float) -> Candidate:
    return Candidate(source=SOURCE % rate, scope=Scope.MIXER, title="mean", hypothesis="", origin="file")


def test_a_hopeless_trial_is_stopped_early_with_a_reason_and_no_loss_unless_nothing_is_known(laboratory):
    known = [laboratory.trial(candidate(1e-2), rung=0, seed=0)] * TRAININGS_MIN

    stopped = laboratory.trial(candidate(1e-6), rung=0, seed=0, known=known)
    again = laboratory.trial(candidate(1e-6), rung=0, seed=0, known=known)
    higher = laboratory.trial(candidate(1e-6), rung=1, seed=0, known=known)
    alone = laboratory.trial(candidate(1e-6), rung=0, seed=0)

    assert stopped.status is TrialStatus.STOPPED
    assert stopped.loss_nats is None
    assert f"at step {stopped.steps} of 100" in stopped.reason
    assert GRACE * 100 <= stopped.steps < 50
    assert stopped.tokens == stopped.steps * 512
    assert stopped.curve == alone.curve[: len(stopped.curve)]
    assert [job.cause for job in stopped.jobs] == ["cancelled"]
    assert (again.steps, again.reason) == (stopped.steps, stopped.reason)
    assert (higher.status, alone.status) == (TrialStatus.DONE, TrialStatus.DONE)
