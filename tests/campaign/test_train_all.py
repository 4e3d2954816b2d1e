"""Training every candidate with every seed, several of one candidate at once where that is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwright.campaign.single import train_all
from netwright.evaluator.joined_jobs import trained_with
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import Task, load_task
from netwright.memory.store import Memory
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Recipe, Rung, Scope, Split, Trial

SOURCE = '''"""Embedding and head"""
import torch

class Model(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.embed = torch.nn.Embedding(spec.vocab_size, spec.dim)
        self.head = torch.nn.Linear(spec.dim, spec.vocab_size)

    def forward(self, tokens):
        return self.head(self.embed(tokens))
'''
DESIGN = Candidate(source=SOURCE, scope=Scope.MODEL, title="Design", hypothesis="", origin="file")
BASELINE = Candidate(source=SOURCE + "\n", scope=Scope.MODEL, title="Baseline", hypothesis="", origin="baseline")


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
def laboratory(task: Task) -> Iterator[Laboratory]:
    with Sandbox(
        slots=2,
        entries=Laboratory.ENTRIES,
        warm_zygote=Laboratory.WARM_ZYGOTE,
        warm_child=Laboratory.WARM_CHILD,
    ) as sandbox:
        yield Laboratory(sandbox, task, bytes(32), seeds_at_once="on")


@pytest.fixture
def memory(tmp_path: Path, task: Task) -> Iterator[Memory]:
    with Memory.open(tmp_path) as memory:
        memory.put_task(task.spec)
        yield memory


def train(memory: Memory, lab: Laboratory, *candidates: Candidate, seeds: int, split: Split) -> list[Trial]:
    told: list[int] = []
    trials = train_all(
        memory,
        lab,
        candidates,
        seeds=range(seeds),
        rung=0,
        workers=2,
        split=split,
        on_progress=lambda finished, count, what: told.append(finished),
    )
    assert sorted(number for number in told if number > 0) == list(range(1, len(trials) + 1))
    return trials


def test_seeds_are_cut_into_as_many_groups_as_there_are_slots_and_known_ones_are_left_out(memory, laboratory):
    train(memory, laboratory, DESIGN, seeds=1, split=Split.VALIDATION)

    trials = train(memory, laboratory, DESIGN, seeds=5, split=Split.VALIDATION)

    assert [(trial.seed, trained_with(trial)) for trial in trials] == [
        (0, ()),
        (1, (1, 2)),
        (2, (1, 2)),
        (3, (3, 4)),
        (4, (3, 4)),
    ]
    assert {trial.seed for trial in memory.trials(candidate_id=DESIGN.id)} == set(range(5))


def test_on_the_locked_split_seeds_of_a_design_are_trained_alone(memory, laboratory):
    trials = train(memory, laboratory, DESIGN, BASELINE, seeds=2, split=Split.TEST)

    groups = {(trial.candidate_id, trial.seed): trained_with(trial) for trial in trials}
    assert groups == {
        (DESIGN.id, 0): (),
        (DESIGN.id, 1): (),
        (BASELINE.id, 0): (0, 1),
        (BASELINE.id, 1): (0, 1),
    }
