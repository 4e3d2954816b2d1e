"""A trial's steps with a real sandbox: what a child says of itself, and what may be told of a scoring."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Iterator

import pytest

from netwright.evaluator.devices import Execution
from netwright.evaluator.laboratory import AuditStrength, Laboratory
from netwright.evaluator.replies import WorkReply
from netwright.evaluator.scoring_failure import claimed_failure
from netwright.evaluator.tasks import Task, load_task
from netwright.sandbox.isolation import Tier
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


def executing(laboratory: Laboratory, execution: Execution) -> tuple[Laboratory, Candidate]:
    task = dataclasses.replace(
        laboratory.task, spec=laboratory.spec.model_copy(update={"precision": execution.precision})
    )
    bench = Laboratory(laboratory._sandbox, task, bytes(32), execution=execution)
    source = SOURCE.replace("{scoring}", "pass")
    candidate = Candidate(source=source, scope=Scope.MODEL, title="Model", hypothesis="", origin="file")
    return bench, candidate


def executed(laboratory: Laboratory, execution: Execution, repeat: int = 0) -> Trial:
    bench, candidate = executing(laboratory, execution)
    return bench.trial(candidate, rung=0, seed=0, repeat=repeat)


def test_a_trial_in_bf16_says_so_repeats_bit_for_bit_and_scores_close_to_one_in_float32(laboratory):
    exact = executed(laboratory, Execution())
    coarse, again = (executed(laboratory, Execution(precision="bf16"), repeat) for repeat in (0, 1))

    assert [each.telemetry["precision"] for each in (exact, coarse)] == ["float32", "bf16"]
    assert {each.telemetry["device"] for each in (exact, coarse)} == {"cpu"}
    assert coarse.task_id != exact.task_id
    assert coarse.loss_nats == again.loss_nats != exact.loss_nats
    assert coarse.loss_nats == pytest.approx(exact.loss_nats, rel=0.01)


def test_where_nothing_can_compile_a_trial_is_trained_as_it_stands_and_says_why(laboratory):
    plain, asked = executed(laboratory, Execution()), executed(laboratory, Execution(compile="on"))

    assert "no compiler" in asked.telemetry["not_compiled"]
    assert "not_compiled" not in plain.telemetry
    assert asked.loss_nats == plain.loss_nats


def test_measures_say_why_nothing_can_compile_where_that_is_asked_for(laboratory):
    (plain, candidate), (asked, _) = (executing(laboratory, Execution(compile=how)) for how in ("auto", "on"))

    without, found = plain.measure(candidate), asked.measure(candidate)

    assert without.problems == ()
    assert found.problems == ("torch.compile: a confined process can start no compiler (see docs/training.md)",)
    assert found.inference[0].seconds and found.inference[0].compile_seconds is None


@pytest.fixture
def open_laboratory(task: Task) -> Iterator[Laboratory]:
    """Where inductor can start a compiler: confined by nothing."""
    with Sandbox(
        slots=1,
        entries=Laboratory.ENTRIES,
        warm_zygote=Laboratory.WARM_ZYGOTE,
        warm_child=Laboratory.WARM_CHILD,
        isolation=Tier.T0,
    ) as sandbox:
        yield Laboratory(sandbox, task, bytes(32))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_inductor_trains_and_is_measured_where_it_can_start_a_compiler(open_laboratory, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bench, candidate = executing(open_laboratory, Execution(compile="on", compile_seconds=500))

    trial, measures = bench.trial(candidate, rung=0, seed=0), bench.measure(candidate)

    assert trial.telemetry["backend"] == "inductor" and trial.telemetry["compile_seconds"] > 0
    assert trial.loss_nats == pytest.approx(executed(open_laboratory, Execution()).loss_nats, rel=1e-3)
    assert measures.problems == () and measures.inference[0].compile_seconds > 0
    assert list(tmp_path.iterdir()) == []


ENDLESS = """        if torch.compiler.is_compiling():
            while True:
                tokens = tokens + 1
        return self.head(self.embed(tokens))
"""


@pytest.mark.slow
def test_a_compilation_that_takes_too_long_costs_no_trial(open_laboratory):
    source = SOURCE.replace("        return self.head(self.embed(tokens))\n", ENDLESS).replace("{scoring}", "pass")
    candidate = Candidate(source=source, scope=Scope.MODEL, title="Model", hypothesis="", origin="file")
    bench, _ = executing(open_laboratory, Execution(compile="on", compile_seconds=5))

    found = bench.trial(candidate, rung=0, seed=0)

    assert found.status is TrialStatus.DONE
    assert found.telemetry["not_compiled"] == "stage 'torch.compile' still running after 5 s"
    assert [job.purpose for job in found.jobs[:2]] == ["compile", "train"]
