"""Trials of several seeds with a real sandbox: trained in one process, or alone with a reason, and scored apart."""

from __future__ import annotations

import dataclasses

import pytest

from netwright.evaluator.joined_jobs import join, parts, trained_with
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import Task, load_task
from netwright.sandbox.job import ExitCause, Job, JobResult, Limits
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Recipe, Rung, Scope, Trial, TrialStatus

SOURCE = '''"""Embedding and head"""
import torch

built = 0

class Model(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.embed = torch.nn.Embedding(spec.vocab_size, spec.dim)
        self.head = torch.nn.Linear(spec.dim, spec.vocab_size)
        global built
        built += 1
        {building}

    def forward(self, tokens):
        return {answer}
'''
PLAIN = "self.head(self.embed(tokens))"
DROPPING = "self.head(torch.dropout(self.embed(tokens), 0.1, self.training))"
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def task() -> Task:
    recall = load_task("recall")
    changes = {
        "scope": Scope.MODEL,
        "dim": 16,
        "parameters": 12_000,
        "recipe": Recipe(batch_size=8),
        "rungs": (Rung(level=0, tokens=5_120),),
        "validation_rows": 32,
        "test_rows": 32,
    }
    return dataclasses.replace(recall, spec=recall.spec.model_copy(update=changes))  # type: ignore[type-var]


@pytest.fixture(scope="module")
def laboratory(sandbox: Sandbox, task: Task) -> Laboratory:
    return Laboratory(sandbox, task, bytes(32), seeds_at_once="on")


def candidate(answer: str = PLAIN, building: str = "pass") -> Candidate:
    source = SOURCE.replace("{answer}", answer).replace("{building}", building)
    return Candidate(source=source, scope=Scope.MODEL, title="Model", hypothesis="", origin="file")


def trials(laboratory: Laboratory, tried: Candidate) -> list[Trial]:
    return list(laboratory.trials(tried, rung=0, seeds=SEEDS, store_weights=bytes.hex))


def alone(laboratory: Laboratory, tried: Candidate, seed: int) -> Trial:
    return laboratory.trial(tried, rung=0, seed=seed, store_weights=bytes.hex)


def test_seeds_are_trained_in_one_process_and_scored_each_by_itself(laboratory):
    found = trials(laboratory, candidate())

    expected = alone(laboratory, candidate(), seed=1)
    assert [(trial.seed, trial.status) for trial in found] == [(seed, TrialStatus.DONE) for seed in SEEDS]
    assert [trained_with(trial) for trial in found] == [SEEDS] * 3
    assert [[job.purpose for job in trial.jobs] for trial in found] == [["train", "rows", "twins"]] * 3
    assert len({trial.weights for trial in found}) == 3
    assert found[1].loss_nats == pytest.approx(expected.loss_nats, abs=1e-4)
    assert (found[1].steps, found[1].tokens, found[1].parameters) == (
        expected.steps,
        expected.tokens,
        expected.parameters,
    )
    assert trained_with(expected) == ()


def test_seeds_at_once_come_to_the_same_bits_in_other_processes(laboratory):
    first, second = trials(laboratory, candidate()), trials(laboratory, candidate())

    assert [(trial.loss_nats, trial.weights) for trial in first] == [(t.loss_nats, t.weights) for t in second]


def test_what_cannot_be_trained_at_once_is_trained_alone_and_says_why(laboratory):
    found = trials(laboratory, candidate(DROPPING))

    expected = alone(laboratory, candidate(DROPPING), seed=2)
    assert all("random operation" in trial.telemetry["trained_alone"] for trial in found)
    assert (found[2].loss_nats, found[2].weights) == (expected.loss_nats, expected.weights)
    assert [trained_with(trial) for trial in found] == [()] * 3


def test_a_process_of_all_seeds_that_dies_is_held_against_none(laboratory):
    found = trials(laboratory, candidate(building="import os; built > 2 and os._exit(3)"))

    assert [trial.status for trial in found] == [TrialStatus.DONE] * 3
    assert {trial.telemetry["trained_alone"] for trial in found} == {"exited with status 3 without a reply"}


def test_on_a_cpu_seeds_are_trained_alone_unless_it_is_asked_for(sandbox, task):
    found = next(Laboratory(sandbox, task, bytes(32)).trials(candidate(), rung=0, seeds=SEEDS))

    assert found.telemetry.keys() == {"train_seconds", "device", "precision"}


def job(seed: int) -> Job:
    limits = Limits(wall_seconds=60, stage_seconds={"compile": 2, "build": 10, "training": 60}, memory_bytes=1 << 30)
    return Job(entry="a:b", payload={"source": "x", "seed": seed}, outputs={"weights": 8}, limits=limits)


def result(reply: dict | None, cause: ExitCause = ExitCause.OK) -> JobResult:
    return JobResult(
        cause=cause,
        reply=reply,
        outputs={f"weights {place}": memoryview(bytes([place])) for place in range(2)},
        reason="" if cause is ExitCause.OK else "killed",
        last_output="",
        wall_seconds=8.0,
        cpu_seconds=6.0,
        peak_memory_bytes=1,
        start_seconds=0.0,
        warm=True,
        tier="T3",
        seconds_to_kill=None,
    )


def test_joined_trainings_may_use_what_each_may_and_compile_once():
    joined = join([job(4), job(5), job(6)])

    assert joined.payload["seeds"] == [4, 5, 6]
    assert (joined.limits.wall_seconds, joined.limits.memory_bytes) == (180, 3 << 30)
    assert joined.limits.stage_seconds == {"compile": 2, "build": 10, "training": 180}
    assert joined.outputs == {"weights 0": 8, "weights 1": 8, "weights 2": 8}


def test_each_seed_has_its_own_reply_its_own_weights_and_its_share_of_the_time():
    done = {"status": "done", "reason": "", "seeds": [{"status": "done"}, {"status": "diverged"}]}

    found = parts(result(done), [4, 5])

    own = found[4].result
    assert own is not None
    assert (own.reply, bytes(own.outputs["weights"])) == ({"status": "done"}, b"\0")
    assert (own.wall_seconds, own.cpu_seconds) == (4.0, 3.0)
    assert found[5].result is None
    assert "diverged" in found[5].telemetry["trained_alone"]


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (result(None, ExitCause.OUT_OF_MEMORY), "killed"),
        (result({"status": "done", "reason": "it \x1b[2Jdraws"}), "it \N{REPLACEMENT CHARACTER}[2Jdraws"),
        (result({"status": "done", "reason": "", "seeds": [{}]}), "answered with something else"),
        (result({"status": "done", "reason": "", "seeds": [1, 2]}), "answered with something else"),
        (result({"anything": 1}), "answered with something else"),
    ],
)
def test_a_process_without_a_reply_for_every_seed_leaves_all_of_them_to_be_trained_alone(told, why):
    found = parts(told, [4, 5])

    assert [part.result for part in found.values()] == [None, None]
    assert all(why in part.telemetry["trained_alone"] for part in found.values())
