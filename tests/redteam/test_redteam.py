"""Every hostile candidate goes through the gates and, as if they had missed it, through a trial.

A hostile file's docstring says which gates may reject it (`Check: none` where no gate can know) and how its trial
may end. `done` is allowed where the attack gains nothing: its loss is then no better than any honest model's.
"""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest

from netwright.evaluator.contract import title_and_hypothesis
from netwright.evaluator.laboratory import Laboratory
from netwright.types import Candidate, Scope, Trial, TrialStatus

HERE = Path(__file__).parent
HOSTILE = sorted(path.stem for path in (HERE / "hostile").glob("*.py"))
HONEST = sorted(path.stem for path in (HERE / "honest").glob("*.py"))
ENTROPY_NATS = math.log(16)
USEFUL_GAIN_NATS = 0.03


def read(kind: str, name: str) -> Candidate:
    source = (HERE / kind / f"{name}.py").read_text()
    title, hypothesis = title_and_hypothesis(source)
    return Candidate(source=source, scope=Scope.MIXER, title=title, hypothesis=hypothesis, origin="file")


def expected(candidate: Candidate, line: str) -> set[str]:
    """What the docstring's line `Check: ...` or `Trial: ...` allows."""
    lines = [text for text in candidate.hypothesis.splitlines() if text.startswith(f"{line}: ")]
    return {part.strip() for part in lines[0].removeprefix(f"{line}: ").split(",")}


def trial(laboratory: Laboratory, candidate: Candidate) -> Trial:
    return laboratory.trial(candidate, rung=0, seed=3)


@pytest.fixture(scope="module")
def reference(laboratory: Laboratory) -> Trial:
    return trial(laboratory, read("honest", "dropout"))


def patience(candidate: Candidate, laboratory: Laboratory, impatient: Laboratory) -> Laboratory:
    return impatient if expected(candidate, "Trial") == {"timeout"} else laboratory


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_candidate_is_stopped_and_gains_nothing(name, laboratory, impatient_laboratory, record_property):
    candidate = read("hostile", name)
    lab = patience(candidate, laboratory, impatient_laboratory)

    rejecting = [report for report in lab.check(candidate) if report.rejects]
    result = trial(lab, candidate)

    record_property("check", f"{rejecting[0].gate}: {rejecting[0].message}" if rejecting else "none")
    record_property("trial", f"{result.status}: {result.reason} {result.loss_nats or ''}")
    assert ({report.gate for report in rejecting[:1]} or {"none"}) <= expected(candidate, "Check")
    assert result.status in expected(candidate, "Trial"), result.reason
    assert "BREACH" not in result.reason + result.last_output
    if result.status is TrialStatus.DONE:
        assert result.loss_nats > ENTROPY_NATS - USEFUL_GAIN_NATS
    else:
        assert result.loss_nats is None
        assert result.reason


def test_the_standard_library_cannot_be_looked_up_while_scored_on_it(library_laboratory):
    reader = read("hostile", "read_standard_library")
    blind = reader.model_copy(update={"source": reader.source.replace("bytearray(text() or", "bytearray(")})

    attempted, honest = trial(library_laboratory, reader), trial(library_laboratory, blind)

    assert blind.source != reader.source
    assert attempted.status is honest.status is TrialStatus.DONE, attempted.reason
    assert attempted.loss_nats == honest.loss_nats


def test_a_candidate_cannot_lengthen_its_own_training(laboratory, tiny_task):
    recipe, tokens = tiny_task.spec.recipe, tiny_task.spec.rungs[0].tokens

    result = trial(laboratory, read("hostile", "own_rung"))

    assert result.status is TrialStatus.DONE, result.reason
    assert result.steps == tokens // (recipe.batch_size * tiny_task.spec.max_len)
    assert result.tokens == tokens


@pytest.mark.parametrize("name", HONEST)
def test_an_unusual_but_honest_candidate_passes_everything(name, laboratory):
    candidate = read("honest", name)

    failed = [report for report in laboratory.check(candidate) if not report.passed]
    result = trial(laboratory, candidate)

    assert failed == []
    assert result.status is TrialStatus.DONE, result.reason
    assert result.audit.passed
    assert ENTROPY_NATS - USEFUL_GAIN_NATS < result.loss_nats < ENTROPY_NATS + 0.5


def test_after_all_attacks_an_honest_candidate_reproduces_its_loss_bit_for_bit(reference, laboratory):
    again = trial(laboratory, read("honest", "dropout"))

    assert again.loss_nats == reference.loss_nats
    assert again.curve == reference.curve
    assert again.audit == reference.audit


def test_nothing_was_left_behind_on_the_machine():
    folders = ("/tmp", "/var/tmp", "/dev/shm")

    assert not [folder for folder in folders if (Path(folder) / "netwright-breach").exists()]


def test_the_suite_is_as_large_as_it_claims():
    leaks = [name for name in HOSTILE if name.startswith("leak_")]

    assert len(HOSTILE) >= 18
    assert len(leaks) >= 6
    assert len(HONEST) >= 8
    assert all(ast.get_docstring(ast.parse((HERE / "hostile" / f"{n}.py").read_text())) for n in HOSTILE)
