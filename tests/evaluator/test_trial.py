"""A trial's steps with a real sandbox: what a child says of itself, and what may be told of a scoring."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import pytest

from netwright.evaluator.laboratory import AuditStrength, Laboratory
from netwright.evaluator.replies import WorkReply
from netwright.evaluator.scoring_failure import claimed_failure
from netwright.evaluator.tasks import Task, load_task
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Recipe, Rung, Scope, Split, Trial, TrialStatus

SOURCE = '''"""Embedding and head"""
import torch

class Model(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.embed = torch.nn.Embedding(spec.vocab_size, spec.dim)
        self.head = torch.nn.Linear(spec.dim, spec.vocab_size)

    def forward(self, tokens):
        if not torch.is_grad_enabled() and len(tokens) == 32:
            {scoring}
        return self.head(self.embed(tokens))
'''
EXTRA_STEPS = """
from netwright.evaluator import training
_train = training.train
def _longer(*args, steps, **kwargs):
    return _train(*args, steps=3 * steps, **kwargs)
training.train = _longer
"""


@pytest.fixture(scope="module")
def task() -> Task:
    recall = load_task("recall")
    changes = {
        "scope": Scope.MODEL,
        "dim": 16,
        "parameters": 12_000,
        "recipe": Recipe(batch_size=8),
        "rungs": (Rung(level=0, tokens=5_120), Rung(level=1, tokens=10_240)),
        "validation_rows": 32,
        "test_rows": 32,
    }
    return dataclasses.replace(recall, spec=recall.spec.model_copy(update=changes))  # type: ignore[type-var]


@pytest.fixture(scope="module")
def laboratory(task: Task) -> Iterator[Laboratory]:
    with Sandbox(
        slots=1,
        entries=Laboratory.ENTRIES,
        warm_zygote=Laboratory.WARM_ZYGOTE,
        warm_child=Laboratory.WARM_CHILD,
    ) as sandbox:
        yield Laboratory(sandbox, task, bytes(32))


def trial(laboratory: Laboratory, scoring: str = "pass", end: str = "", rung: int = 0) -> Trial:
    source = SOURCE.replace("{scoring}", scoring) + end
    candidate = Candidate(source=source, scope=Scope.MODEL, title="Model", hypothesis="", origin="file")
    return laboratory.trial(candidate, rung=rung, seed=0)


def test_a_training_that_took_more_steps_than_paid_for_has_no_score(laboratory):
    result = trial(laboratory, end=EXTRA_STEPS)

    assert (result.status, result.loss_nats) == (TrialStatus.CRASHED, None)
    assert "took 30 steps, the rung's budget pays for 10" in result.reason


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("raise ValueError(str(tokens.tolist()))", r"an error; .* \(while scoring\)"),
        ("raise ValueError(str(tokens[0].tolist()))", r"ValueError at candidate\.py:12; .* \(while scoring\)"),
        (
            "print(tokens.tolist()); raise KeyError(tokens[0].tolist())",
            r"KeyError at candidate\.py:12; .* \(while scoring\)",
        ),
        ("raise type('T' + str(tokens[0].tolist()), (Exception,), {})()", r"an error at candidate\.py:12; .*"),
        ("raise ValueError('\\n  candidate.py:7 in x: \\nKeyError: 7')", r"ValueError at candidate\.py:12; .*"),
        ("print(tokens.tolist()); import os; os._exit(3)", r"crashed after [\d.]+ s with \d+ MiB \(while scoring\)"),
        ("print(tokens.tolist()); return self.head(self.embed(tokens)) / 0", r"32 of 32 rows of logits hold NaN .*"),
    ],
)
def test_held_out_rows_do_not_leave_a_scoring_in_words(laboratory, words, reason):
    result = trial(laboratory, scoring=words)

    assert re.fullmatch(reason, result.reason), result.reason
    assert result.last_output == ""
    assert result.loss_nats is None
    assert not re.search(r"\d+, \d+", result.model_dump_json(include={"reason", "last_output", "metrics"}))


def test_a_scoring_error_names_a_line_only_where_the_source_has_it():
    forged = WorkReply(status="error", reason="  candidate.py:99 in forward: x\nValueError: 7")

    assert claimed_failure(forged, SOURCE).startswith("ValueError; ")


@pytest.mark.parametrize(("rung", "sheets"), [(0, 1), (1, 4)])
def test_a_higher_rung_is_audited_with_more_sheets_each_in_a_fresh_process(laboratory, monkeypatch, rung, sheets):
    jobs = []
    run = laboratory._sandbox.run
    monkeypatch.setattr(
        laboratory._sandbox, "run", lambda job, **kwargs: jobs.append(job) or run(job, **kwargs), raising=True
    )

    result = trial(laboratory, rung=rung)

    asked = [bytes(job.inputs["rows"]) for job in jobs[1:]]
    assert result.status is TrialStatus.DONE, result.reason
    assert result.audit.passed
    assert len(asked) == len(set(asked)) == 1 + sheets


def test_what_decides_is_audited_with_more_sheets_than_a_screening():
    audit = AuditStrength(screening_sheets=2, final_sheets=7)

    assert audit.sheets(0, Split.VALIDATION) == 2
    assert audit.sheets(1, Split.VALIDATION) == audit.sheets(0, Split.TEST) == audit.sheets(1, Split.TEST) == 7
