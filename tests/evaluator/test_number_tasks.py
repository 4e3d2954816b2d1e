"""Tables and images, through a real sandbox: rows of numbers go in, classes or numbers come out."""

from __future__ import annotations

import dataclasses
from importlib import resources

import numpy as np
import pytest
import torch

from netwright.evaluator import causality
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import Task, load_task
from netwright.evaluator.tasks.tables import HELD_OUT_SHARE, SUMMARIES
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Rung, Scope, Split, TrialStatus

SOURCE = '''"""Reads {extra}"""
import torch

class Model(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.norm = {norm}
        n_inputs = torch.Size(spec.input_shape).numel()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(n_inputs, spec.dim), torch.nn.ReLU(),
            torch.nn.Linear(spec.dim, spec.num_classes),
        )

    def forward(self, inputs):
        answers = self.layers(self.norm(inputs))
        return {answer}
'''
KEY = bytes(32)


def laboratory(sandbox: Sandbox, name: str, rows: int) -> Laboratory:
    task = load_task(name)
    spec = task.spec.model_copy(update={"rungs": (Rung(level=0, tokens=rows),)})
    return Laboratory(sandbox, dataclasses.replace(task, spec=spec), KEY)  # type: ignore[type-var]


@pytest.fixture(scope="module")
def images(sandbox: Sandbox) -> Laboratory:
    return laboratory(sandbox, "digits", 6_400)


@pytest.fixture(scope="module")
def patients(sandbox: Sandbox) -> Laboratory:
    return laboratory(sandbox, "tabular-diabetes", 6_400)


def candidate(*, norm: str = "torch.nn.Identity()", answer: str = "answers") -> Candidate:
    source = SOURCE.format(norm=norm, answer=answer, extra=norm)
    return Candidate(source=source, scope=Scope.MODEL, title="Reads rows", hypothesis="", origin="file")


def perceptron() -> Candidate:
    file = resources.files("netwright.evaluator.baselines").joinpath("multilayer_perceptron.py")
    return candidate().model_copy(update={"source": file.read_text(encoding="utf-8")})


def splits(task: Task) -> list[list[bytes]]:
    validation, test = (task.held_out(split, KEY) for split in (Split.VALIDATION, Split.TEST))
    train = task.parts["train"]  # type: ignore[attr-defined]
    return [[row.tobytes() for row in part.inputs] for part in (train, validation, test)]


def test_a_perceptron_learns_images_of_digits(images):
    reports, result = images.check(perceptron()), images.trial(perceptron(), rung=0, seed=0)

    assert [report.message for report in reports if report.rejects] == []
    assert result.status is TrialStatus.DONE, result.reason
    assert result.loss_nats < 0.5 < np.log(10)
    assert result.metrics["accuracy"] > 0.85
    assert result.audit.passed
    assert result.audit.cut_loss_nats is None


def test_a_perceptron_learns_a_number_from_a_table(patients):
    reports, result = patients.check(perceptron()), patients.trial(perceptron(), rung=0, seed=0)

    assert [report.message for report in reports if report.rejects] == []
    assert result.status is TrialStatus.DONE, result.reason
    assert result.loss_nats < 0.4
    assert result.metrics == {"r2": pytest.approx(1 - 2 * result.loss_nats / variance(patients))}
    assert result.metrics["r2"] > 0.3
    assert result.audit.passed


def variance(laboratory: Laboratory) -> float:
    return float(np.var(laboratory.task.held_out(Split.VALIDATION, KEY).targets, dtype=np.float64))


def test_statistics_of_the_batch_are_rejected_by_a_gate(images):
    reports = images.check(candidate(norm="torch.nn.BatchNorm2d(1)"))

    assert {report.gate for report in reports if report.rejects} == {"batch independence"}


def test_statistics_of_the_batch_that_hide_from_the_gates_are_caught_by_the_audit(images):
    crowd = "answers + answers.mean(dim=0) * (not self.training and inputs.min() >= -1 and len(inputs) > 4)"
    reports, result = (
        images.check(candidate(answer=crowd)),
        images.trial(candidate(answer=crowd), rung=0, seed=0),
    )

    assert [report.message for report in reports if report.rejects] == []
    assert (result.status, result.loss_nats) == (TrialStatus.LEAK, None)
    assert "when only the order, the company and the repetition of rows changed" in result.reason


@pytest.mark.parametrize(
    ("fixture", "answer", "gate_says", "trial_says"),
    [
        (
            "images",
            "answers[:, None]",
            "returned shape (1, 1, 10) for 1 rows of (1, 8, 8), expected (1, 10)",
            "(while scoring)",
        ),
        (
            "patients",
            "answers[:, 0]",
            "returned shape (1,) for 1 rows of (10,), expected (1, 1)",
            "expected answers of shape (32, 1), got (32,)",
        ),
    ],
)
def test_a_wrong_shape_is_told_which_one_was_expected(request, fixture, answer, gate_says, trial_says):
    laboratory, wrong = request.getfixturevalue(fixture), candidate(answer=answer)

    reports, result = laboratory.check(wrong), laboratory.trial(wrong, rung=0, seed=0)

    assert gate_says in next(report.message for report in reports if report.rejects)
    assert (result.status, result.loss_nats) == (TrialStatus.CRASHED, None)
    assert trial_says in result.reason


def test_an_effect_between_rows_shows_where_a_row_has_one_answer() -> None:
    x, donor = torch.randn(2, 3, 10, generator=torch.Generator().manual_seed(1))

    def crowd(rows: torch.Tensor) -> torch.Tensor:
        return (rows + rows.mean(dim=0)).double()

    for found in (causality.row_effect(crowd, x, donor), causality.order_effect(lambda r: crowd(r).cumsum(0), x)):
        assert found is not None
        assert found.position == 0
    assert causality.row_effect(torch.Tensor.double, x, donor) is None
    assert causality.order_effect(torch.Tensor.double, x) is None


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_row_is_in_one_split(name):
    task = load_task(name)
    train, validation, test = splits(task)

    rows = [*train, *validation, *test]

    assert len(set(rows)) == len(rows)
    assert [len(validation), len(test)] == [task.spec.validation_rows, task.spec.test_rows]
    assert [len(validation), len(test)] == [round(len(rows) * share) for share in HELD_OUT_SHARE.values()]


@pytest.mark.parametrize(
    ("name", "rows"), [("digits", 1797), ("tabular-cancer", 569), ("tabular-diabetes", 442), ("tabular-wine", 178)]
)
def test_the_splits_cover_the_set(name, rows):
    assert sum(map(len, splits(load_task(name)))) == rows


@pytest.mark.parametrize("name", [name for name in SUMMARIES if name != "digits"])
def test_measures_are_scaled_on_the_training_rows_alone(name):
    task = load_task(name)
    train, held_out = task.parts["train"], task.held_out(Split.VALIDATION, KEY)

    asked = [train.inputs] + ([train.targets] if task.spec.answers == "number" else [])

    for values in asked:
        assert np.allclose(values.mean(axis=0), 0, atol=1e-5)
        assert np.allclose(values.std(axis=0), 1, atol=1e-5)
    assert not np.allclose(held_out.inputs.mean(axis=0), 0, atol=1e-2)


def test_another_key_gives_the_same_rows_in_another_order():
    task = load_task("tabular-wine")
    first, second = (task.held_out(Split.TEST, key) for key in (KEY, bytes([1]) * 32))

    assert not np.array_equal(first.inputs, second.inputs)
    assert sorted(map(bytes, first.inputs)) == sorted(map(bytes, second.inputs))
    assert {bytes(x): y.tolist() for x, y in zip(first.inputs, first.targets, strict=True)} == {
        bytes(x): y.tolist() for x, y in zip(second.inputs, second.targets, strict=True)
    }
