import json
import math
import struct

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from netwright.evaluator import scoring
from netwright.evaluator.sheets import Sheets, make_sheets
from netwright.evaluator.tasks import UNSCORED
from netwright.types import Audit, Recipe, Rung, Scope, TaskSpec

SPEC = TaskSpec(
    name="recall",
    summary="",
    scope=Scope.MIXER,
    vocab_size=11,
    max_len=9,
    dim=8,
    heads=2,
    layers=1,
    parameters=100,
    metric="loss",
    recipe=Recipe(),
    rungs=(Rung(level=0, tokens=100),),
    validation_rows=40,
    test_rows=40,
)
ROWS = 40


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and next-token targets."""
    tokens = np.random.default_rng(seed).integers(0, 11, size=(ROWS, 10)).astype(np.int32)
    return np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(tokens[:, 1:])


def make(*, causal: bool = True) -> Sheets:
    return make_sheets(*rows(), np.random.default_rng(1), causal=causal)


def answer(sheet: np.ndarray, model) -> bytes:
    return np.stack([model(row) for row in sheet]).astype("<f4").tobytes()


def causal(row: np.ndarray) -> np.ndarray:
    """Logits that depend on the past: a decayed count of what was seen."""
    seen = np.eye(11)[row]
    return np.stack([(seen[: t + 1] * 0.9 ** np.arange(t, -1, -1)[:, None]).sum(0) for t in range(len(row))])


def cheating(row: np.ndarray) -> np.ndarray:
    """Logits that know the next token wherever the input holds it."""
    return 20.0 * np.eye(11)[np.append(row[1:], 0)]


def read(logits: np.ndarray) -> scoring.Answers:
    """Answers (N, T, V) to a sheet that holds the rows in their own order."""
    spec = SPEC.model_copy(update={"max_len": logits.shape[1], "vocab_size": logits.shape[2]})
    return scoring.read_answers(logits.astype("<f4").tobytes(), np.arange(len(logits)), spec)


def scored(model_a, model_b=None, *, causal: bool = True):
    sheets = make(causal=causal)
    _, targets = rows()
    answers_a = scoring.read_answers(answer(sheets.sheet_a, model_a), sheets.order_a, SPEC)
    answers_b = scoring.read_answers(answer(sheets.sheet_b, model_b or model_a), sheets.order_b, SPEC)
    audit, _ = scoring.audit(answers_a, answers_b, sheets, targets)
    return scoring.score_answers(answers_a, targets), audit


def test_the_loss_is_torchs_cross_entropy():
    logits = np.random.default_rng(2).normal(size=(ROWS, 9, 11)).astype(np.float32) * 5
    _, targets = rows()
    targets[:, ::3] = UNSCORED

    loss = scoring.score_answers(read(logits), targets)

    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits).double().flatten(0, 1), torch.from_numpy(targets).long().flatten()
    )
    assert loss.nats == pytest.approx(float(expected), abs=1e-7)
    assert loss.positions == ROWS * 6


def test_adding_a_constant_to_all_logits_changes_nothing():
    logits = np.random.default_rng(3).integers(-8, 8, size=(ROWS, 9, 11)).astype(np.float32)
    _, targets = rows()

    plain, raised = (scoring.score_answers(read(logits + np.float32(shift)), targets) for shift in (0, 1024))

    assert raised.nats == pytest.approx(plain.nats, abs=1e-9)


def test_huge_finite_logits_give_a_finite_loss():
    logits = np.zeros((ROWS, 9, 11), dtype=np.float32)
    logits[..., 0] = np.finfo(np.float32).max
    logits[..., 1] = np.finfo(np.float32).min
    targets = np.ones((ROWS, 9), dtype=np.int32)

    assert math.isfinite(scoring.score_answers(read(logits), targets).nats)


def test_the_standard_error_is_that_of_the_rows():
    logits = np.zeros((4, 2, 2), dtype=np.float32)
    logits[:2, :, 1] = 2.0
    targets = np.ones((4, 2), dtype=np.int32)
    good, bad = math.log(1 + math.exp(-2)), math.log(2)

    loss = scoring.score_answers(read(logits), targets)

    assert loss.standard_error == pytest.approx(np.std([good, good, bad, bad], ddof=1) / 2)
    assert loss.metrics["accuracy"] == 0.5


def test_equal_logits_for_all_tokens_are_no_hit():
    assert scoring.score_answers(read(np.zeros((2, 2, 3))), np.zeros((2, 2), np.int32)).metrics["accuracy"] == 0.0


def test_an_honest_model_passes_the_audit_with_no_difference():
    loss, audit = scored(causal)

    assert audit.passed
    assert audit.max_logit_difference == 0.0
    assert audit.cut_loss_nats == pytest.approx(loss.nats, abs=0.3)


def test_a_model_that_reads_the_next_token_fails_the_audit():
    loss, audit = scored(cheating)

    assert loss.metrics["accuracy"] > 0.85
    assert not audit.passed
    assert audit.cut_loss_nats > 5


def test_a_leak_in_a_single_row_fails_the_audit():
    _, audit = scored(lambda row: cheating(row) if row[0] == 3 and row[1] == 9 else causal(row))

    assert not audit.passed or not any((r[0], r[1]) == (3, 9) for r in rows()[0])


def test_a_model_that_reads_the_row_as_a_whole_fails_the_audit_of_a_causal_task_alone():
    _, strict = scored(lambda row: causal(row) + row.mean())
    _, free = scored(lambda row: causal(row) + row.mean(), causal=False)

    assert (strict.passed, free.passed) == (False, True)
    assert free.max_logit_difference == 0.0
    assert free.cut_loss_nats is None


@pytest.mark.parametrize("is_causal", [True, False])
def test_an_answer_that_depends_on_the_order_of_rows_fails_the_audit(is_causal):
    calls = iter(range(10_000))

    _, audit = scored(
        lambda row: causal(row) + (next(calls) % ROWS) * 0.01 * np.eye(11)[0],
        causal=is_causal,
    )

    assert not audit.passed


@pytest.mark.parametrize("is_causal", [True, False])
def test_an_answer_that_changes_when_a_row_is_asked_again_fails_the_audit(is_causal):
    seen: set[bytes] = set()

    def remembering(row):
        again = row.tobytes() in seen
        seen.add(row.tobytes())
        return causal(row) + again * np.eye(11)[0]

    sheets = make(causal=is_causal)
    answers = scoring.read_answers(answer(sheets.sheet_a, remembering), sheets.order_a, SPEC)
    honest = scoring.read_answers(answer(sheets.sheet_b, causal), sheets.order_b, SPEC)

    audit, found = scoring.audit(answers, honest, sheets, rows()[1])

    assert not audit.passed
    assert found == scoring.between_repeats(answers)
    assert found.rows == len(sheets.order_a) - ROWS > 0


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(poison):
    logits = np.zeros((ROWS, 9, 11), dtype="<f4")
    logits[3, 2, 1] = poison

    with pytest.raises(scoring.BadLogits, match="1 of 40 rows"):
        scoring.read_answers(logits.tobytes(), np.arange(ROWS), SPEC)


def test_logits_of_another_size_are_refused():
    with pytest.raises(scoring.BadLogits, match="expected 15840 bytes"):
        scoring.read_answers(bytes(100), np.arange(ROWS), SPEC)


def weight_file(buffers: list[str] | None = None, **tensors: np.ndarray) -> bytes:
    return save(tensors, metadata={scoring.BUFFERS_KEY: json.dumps(buffers or [])})


def test_parameters_are_counted_without_buffers():
    data = weight_file(["b"], a=np.zeros((5, 10), np.float32), b=np.zeros(5, np.float32))

    report = scoring.read_weights(data, SPEC)

    assert (report.parameters, report.buffer_bytes) == (50, 20)


def test_two_percent_above_the_budget_is_the_limit():
    assert scoring.read_weights(weight_file(a=np.zeros(102, np.float32)), SPEC).parameters == 102
    with pytest.raises(scoring.BadWeights, match="103 parameters"):
        scoring.read_weights(weight_file(a=np.zeros(103, np.float32)), SPEC)


@pytest.mark.parametrize("claimed", [[], ["notes"], ["notes", "weight"], ["weight"]])
def test_whatever_a_file_calls_a_buffer_it_holds_no_more(claimed):
    notes, weight = np.zeros(60, np.float32), np.zeros(100, np.float32)

    with pytest.raises(scoring.BadWeights, match="parameters came back|in persistent buffers; at most 5 "):
        scoring.read_weights(weight_file(claimed, notes=notes, weight=weight), SPEC)


def test_wide_numbers_count_as_the_bytes_they_take():
    with pytest.raises(scoring.BadWeights, match="160 parameters"):
        scoring.read_weights(weight_file(a=np.zeros(80, np.float64)), SPEC)


def test_the_worst_sheet_speaks_for_all():
    audits = [
        Audit(rows=4, max_logit_difference=difference, tolerance=2e-3, cut_loss_nats=loss)
        for difference, loss in ((1e-6, 1.0), (0.5, 2.0), (1e-5, 6.0))
    ]

    worst = scoring.worst_audit(audits)

    assert (worst.max_logit_difference, worst.cut_loss_nats, worst.passed) == (0.5, 3.0, False)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "no readable"),
        (b"\x80\x04pickle payload", "no readable|header"),
        (struct.pack("<Q", 1 << 60) + b"{}", "header has"),
        (struct.pack("<Q", 2) + b"[]", "no readable"),
        (weight_file(a=np.zeros(10, np.float32))[:-5], "not a safetensors file"),
        (weight_file(a=np.array([1.0, np.nan], np.float32)), "NaN"),
        (weight_file(a=np.zeros(200, np.float32)), "200 parameters"),
        (weight_file(["a"], a=np.zeros(3000, np.uint8)), "3,000 bytes"),
        (bytes(1 << 20), "at most"),
    ],
)
def test_weight_files_that_are_malformed_not_finite_or_too_large_are_refused(data, match):
    with pytest.raises(scoring.BadWeights, match=match):
        scoring.read_weights(data, SPEC)
