"""Tasks whose rows may be read as a whole, with a real sandbox: what is allowed there, and what is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import Task, load_task
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Recipe, Rung, Scope, Trial, TrialStatus

SOURCE = '''"""Looks both ways"""
import torch

class Model(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.embed = torch.nn.Embedding(spec.vocab_size, spec.dim)
        self.read = torch.nn.GRU(spec.dim, spec.dim // 2, batch_first=True, bidirectional=True)
        self.head = torch.nn.Linear(spec.dim, spec.vocab_size)
        self.calls, self.seen, self.rows = 0, set(), 0

    def forward(self, tokens):
        h, _ = self.read(self.embed(tokens))
        if not self.training and tokens.shape[0] > 4:  # gates ask fewer rows, or are tricked into asking alike
            h = h + self.extra(tokens, h)
        return self.head(h)

    def extra(self, tokens, h):
        return {extra}
'''
NOTHING = "0.0"
BATCH_STATISTICS = "h.mean(dim=(0, 1))"
ROW_POSITION = "torch.linspace(0, 1, h.shape[0])[:, None, None]"
CALL_COUNT = "0.01 * setattr_and_get(self, 'calls', self.calls + 1)"
EARLIER_ROWS = "0.001 * setattr_and_get(self, 'rows', self.rows + tokens.sum().item())"
DUPLICATES = "remember(self.seen, tokens)[:, None, None]"
HELPERS = """

def setattr_and_get(owner, name, value):
    setattr(owner, name, value)
    return value

def remember(seen, tokens):
    keys = [tuple(row) for row in tokens.tolist()]
    again = torch.tensor([float(key in seen or keys.index(key) < n) for n, key in enumerate(keys)])
    seen.update(keys)
    return again
"""


@pytest.fixture(scope="module")
def task() -> Task:
    recall = load_task("recall")
    changes = {
        "scope": Scope.MODEL,
        "causal": False,
        "max_len": 32,
        "dim": 16,
        "parameters": 12_000,
        "recipe": Recipe(batch_size=8),
        "rungs": (Rung(level=0, tokens=2_560),),
        "validation_rows": 112,
        "options": recall.spec.options | {"max_pairs": 8},
    }
    return dataclasses.replace(recall, spec=recall.spec.model_copy(update=changes))  # type: ignore[type-var]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(
        slots=2,
        entries=Laboratory.ENTRIES,
        warm_zygote=Laboratory.WARM_ZYGOTE,
        warm_child=Laboratory.WARM_CHILD,
    ) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def laboratory(sandbox: Sandbox, task: Task) -> Laboratory:
    return Laboratory(sandbox, task, bytes(32))


def candidate(extra: str = NOTHING) -> Candidate:
    source = SOURCE.replace("{extra}", extra) + HELPERS
    return Candidate(source=source, scope=Scope.MODEL, title="Both ways", hypothesis="", origin="file")


def trial(laboratory: Laboratory, extra: str) -> Trial:
    return laboratory.trial(candidate(extra), rung=0, seed=0)


def test_a_model_that_reads_the_whole_row_passes_gates_and_audit(laboratory):
    reports, result = laboratory.check(candidate()), trial(laboratory, NOTHING)

    assert [report.message for report in reports if report.rejects] == []
    assert result.status is TrialStatus.DONE, result.reason
    assert result.audit.passed
    assert result.audit.max_logit_difference < 1e-5
    assert result.audit.cut_loss_nats is None


def test_the_same_model_fails_where_the_task_is_causal(sandbox, task):
    causal = dataclasses.replace(task, spec=task.spec.model_copy(update={"causal": True}))
    strict = Laboratory(sandbox, causal, bytes(32))

    reports, result = strict.check(candidate()), trial(strict, NOTHING)

    assert [report.gate for report in reports if report.rejects] == ["causality"]
    assert result.status is TrialStatus.LEAK


@pytest.mark.parametrize(
    "extra",
    [BATCH_STATISTICS, ROW_POSITION, CALL_COUNT, EARLIER_ROWS, DUPLICATES],
    ids=["statistics of the batch", "place in the batch", "number of calls", "memory of rows", "duplicates"],
)
def test_a_model_that_minds_more_than_the_row_itself_is_caught_by_the_audit(laboratory, extra):
    result = trial(laboratory, extra)

    assert (result.status, result.loss_nats) == (TrialStatus.LEAK, None)
    assert "when only the order, the company and the repetition of rows changed" in result.reason
    assert not result.audit.passed


@pytest.mark.parametrize("extra", [BATCH_STATISTICS, ROW_POSITION, CALL_COUNT])
def test_what_the_gates_can_see_they_reject(laboratory, extra):
    source = candidate(extra).source.replace("and tokens.shape[0] > 4", "")
    reports = laboratory.check(candidate().model_copy(update={"source": source}))

    assert {report.gate for report in reports if report.rejects} <= {"determinism", "batch independence"}
    assert any(report.rejects for report in reports)


def test_both_sheets_hold_as_many_rows_in_calls_of_one_shape(laboratory):
    result = trial(laboratory, NOTHING)

    rows, twins = (log for log in result.jobs if log.purpose in ("rows", "twins"))
    assert (rows.cause, twins.cause) == ("ok", "ok")
    assert rows.bytes_in == twins.bytes_in > 128 * 32 * 4
