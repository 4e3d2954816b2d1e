"""Equal FLOPs and equal time in a real sandbox: who trains on how much, by whose word, and for how long."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.evaluator import protocol
from netwright.evaluator.baselines import reference_for
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import Task, load_task
from netwright.memory import Memory
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Recipe, Rung, Scope, Share, Split, Trial, TrialStatus

TOKENS = 5_120
SOURCE = '''"""Embedding and head"""
import torch

class Model(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.embed = torch.nn.Embedding(spec.vocab_size, spec.dim)
        self.head = torch.nn.Linear(spec.dim, spec.vocab_size)
        self.calls = 0

    def forward(self, tokens):
        x = self.embed(tokens)
        self.calls += 1
        {more}
        return self.head(x)
'''
BURN = "sum(i * i for i in range(300_000))"
"""Some 15 ms of Python."""
PRODUCTS = "x = x + sum(x @ torch.eye(16) for _ in range(200)) * 0"


@pytest.fixture(scope="module")
def laboratory(sandbox: Sandbox) -> Callable[..., Laboratory]:
    recall = load_task("recall")
    changes = {
        "scope": Scope.MODEL,
        "dim": 16,
        "heads": 2,
        "parameters": 12_000,
        "recipe": Recipe(batch_size=8),
        "rungs": (Rung(level=0, tokens=TOKENS), Rung(level=1, tokens=2 * TOKENS)),
        "validation_rows": 32,
        "test_rows": 32,
    }

    def of(name: str, **options: object) -> Laboratory:
        spec = recall.spec.model_copy(update=changes | {"protocol": name})
        task: Task = dataclasses.replace(recall, spec=spec)  # type: ignore[type-var]
        return Laboratory(sandbox, task, bytes(32), **options)  # type: ignore[arg-type]

    return of


def model(more: str = "pass", end: str = "") -> Candidate:
    source = SOURCE.replace("{more}", more) + end
    return Candidate(source=source, scope=Scope.MODEL, title="Model", hypothesis="", origin="file")


def share(lab: Laboratory, candidate: Candidate) -> Share:
    (found,) = lab.shares(candidate)
    return found


def purposes(trial: Trial) -> list[str]:
    return [job.purpose for job in trial.jobs]


def test_equal_tokens_need_no_calibration(laboratory):
    result = laboratory("tokens").trial(model(), rung=0, seed=0)

    assert (result.status, result.tokens, purposes(result)) == (TrialStatus.DONE, TOKENS, ["train", "rows", "twins"])


@pytest.mark.parametrize("name", ["flops", "time"])
def test_a_candidate_of_little_cost_trains_on_more_tokens_with_every_seed_and_rung(laboratory, name):
    lab = laboratory(name)

    first = lab.trial(model(), rung=0, seed=0)
    second = lab.trial(model(), rung=0, seed=1)
    higher = lab.trial(model(), rung=1, seed=0, split=Split.TEST)

    assert first.status is TrialStatus.DONE, first.reason
    assert purposes(first) == ["reference", "calibration", "train", "rows", "twins"]
    assert purposes(second) == ["train", "rows", "twins"]
    assert TOKENS < first.tokens == second.tokens
    assert first.tokens == first.steps * 8 * 64
    assert higher.tokens == pytest.approx(2 * first.tokens, abs=8 * 64)


def test_a_slow_candidate_trains_on_fewer_tokens_for_equal_time_alone(laboratory):
    slow = model(BURN)

    assert share(laboratory("time"), slow).factor < 1 < share(laboratory("flops"), slow).factor


def test_a_candidate_that_computes_much_trains_on_fewer_tokens_for_equal_flops(laboratory):
    assert share(laboratory("flops"), model(PRODUCTS)).operations > 2 * share(laboratory("flops"), model()).operations


def test_operations_are_counted_on_a_training_batch_too(laboratory):
    cheap_on_meta = model(f"if not x.is_meta: {PRODUCTS}")

    found = share(laboratory("flops"), cheap_on_meta)

    assert found.operations == pytest.approx(share(laboratory("flops"), model(PRODUCTS)).operations, rel=0.01)


def test_the_reference_trains_on_the_tokens_of_the_rung(laboratory):
    lab = laboratory("time")
    reference, _ = reference_for(lab.spec)

    assert share(lab, reference).factor == 1.0


@pytest.mark.parametrize("name", ["flops", "time"])
def test_who_was_fast_only_while_being_calibrated_has_no_score(laboratory, monkeypatch, name):
    monkeypatch.setattr(protocol, "BESIDE_SECONDS", 0.3)

    result = laboratory(name).trial(model(f"self.training and self.calls > 20 and {BURN}"), rung=0, seed=0)

    assert (result.status, result.loss_nats) == (TrialStatus.TOO_MUCH_CPU, None)
    assert "a training has to keep to that" in result.reason
    assert purposes(result) == ["reference", "calibration", "reference", "train"]


def test_nobody_is_believed_to_be_slower_than_its_process_was(laboratory):
    forged = "\nfrom netwright.evaluator import effort\neffort.seconds_per_step = lambda *_: 1e6\n"

    assert share(laboratory("flops"), model(end=forged)).seconds < 1e3


def test_who_fails_while_being_calibrated_is_told_so(laboratory):
    result = laboratory("time").trial(model("raise ValueError('no')"), rung=0, seed=0)

    assert result.status is TrialStatus.CRASHED
    assert result.reason.endswith("ValueError: no (while calibrating)")
    assert purposes(result) == ["reference", "calibration"]
    assert result.usage.tier


def test_what_a_candidate_trains_on_is_measured_once_in_the_life_of_a_memory(laboratory, tmp_path: Path):
    candidate = model()
    with Memory.open(tmp_path) as memory:
        memory.put_candidate(candidate)
        first = laboratory("time", shares=memory).trial(candidate, rung=0, seed=0)

    with Memory.open(tmp_path) as memory:
        kept = memory.share(candidate.id, first.task_id)
        again = laboratory("time", shares=memory).trial(candidate, rung=0, seed=0, repeat=1)

    assert protocol.tokens_for(laboratory("time").spec, 0, kept.factor) == pytest.approx(first.tokens, abs=8 * 64)
    assert (again.tokens, again.loss_nats) == (first.tokens, first.loss_nats)
    assert "calibration" not in purposes(again)
