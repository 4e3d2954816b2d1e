"""A row is read again out of one vector: in numpy, on the trusted side, and by nobody else."""

from __future__ import annotations

import dataclasses
import json
import math
from importlib import resources

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

from netwright.evaluator import decoding, measuring, scoring, sizing
from netwright.evaluator.backbone import build_network, parameter_count
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.loading import pack_weights
from netwright.evaluator.sheets import make_sheets
from netwright.evaluator.tasks import UNSCORED, load_task
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, Scope, Split, TaskSpec, Trial, TrialStatus

KEY = bytes(range(32))
SPEC = load_task("compression").spec


class Shift(torch.nn.Module):
    """A mixer that looks one position back."""

    def __init__(self, dim: int, **_: object) -> None:
        super().__init__()
        self.project = torch.nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.project(torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1])
        return y


def network(spec: TaskSpec = SPEC) -> torch.nn.Module:
    torch.manual_seed(3)
    return build_network(spec, Shift).eval()


def rows() -> torch.Tensor:
    return torch.from_numpy(load_task("compression").held_out(Split.TEST, KEY).inputs[:70]).long()


def changed(name: str, tensor: np.ndarray | None) -> bytes:
    tensors = load(pack_weights(network())) | {name: tensor}
    return save(
        {key: value for key, value in tensors.items() if value is not None}, metadata={"buffers": json.dumps([])}
    )


def test_every_letter_is_asked_for_and_the_end_mark_is_not():
    batch = load_task("compression").held_out(Split.VALIDATION, KEY)

    assert (batch.targets[:, :-1] == batch.inputs[:, :-1]).all()
    assert (batch.targets[:, -1] == UNSCORED).all()
    assert (batch.inputs[:, -1] == SPEC.options["letters"]).all()
    assert batch.inputs[:, :-1].max() < SPEC.options["letters"]


def test_the_trusted_side_reads_out_of_a_code_what_the_network_does():
    model = network()
    decoder = decoding.read_decoder(pack_weights(model), SPEC)

    with torch.no_grad():
        codes, logits = model.code(rows()).numpy(), model(rows()).numpy()

    assert codes.shape == (70, *SPEC.reply_shape)
    assert np.abs(decoder.logits(codes) - logits).max() < 1e-5 < np.abs(logits).max()


def test_the_network_answers_from_the_last_vector_alone():
    model = network()

    with torch.no_grad():
        expected = model(rows())
        last = model.code(rows())
        answered = model.head(model.decoder(last, SPEC.max_len))

    assert torch.equal(answered, expected)


def test_a_code_is_read_the_same_whatever_stands_beside_it():
    decoder = decoding.read_decoder(pack_weights(network()), SPEC)
    codes = np.random.default_rng(1).normal(size=(130, SPEC.dim)).astype(np.float32)

    alone = np.concatenate([decoder.logits(code[None]) for code in codes])

    assert np.allclose(decoder.logits(codes), alone, atol=1e-6)


def test_numbers_too_large_for_logits_give_no_score():
    huge = np.finfo(np.float32).max
    shapes = decoding.decoder_shapes(SPEC)
    weights = save({name: np.full(shape, huge) for name, shape in shapes.items()})
    codes = np.full((2, SPEC.dim), huge, dtype=np.float32)

    logits = decoding.decode(codes.tobytes(), 2, decoding.read_decoder(weights, SPEC), SPEC)

    with pytest.raises(scoring.BadLogits, match="2 of 2 rows of logits hold NaN or infinity"):
        scoring.read_answers(logits, np.arange(2), SPEC)


def written_by_hand() -> bytes:
    """A decoder for codes that hold the number of the letter at place t as their t-th number.

    Hidden unit t is open at place t alone and gives the square of that number; the head says which square it is.
    """
    n_places, letters = SPEC.max_len, np.arange(SPEC.vocab_size)
    place, one, read = n_places + np.arange(n_places), 2 * n_places, 2 * n_places + 1
    tensors = {name: np.zeros(shape, np.float32) for name, shape in decoding.decoder_shapes(SPEC).items()}
    tensors["decoder.places"][np.arange(n_places), place] = 1.0
    tensors["decoder.places"][:, one] = 1.0
    for t in range(n_places):
        tensors["decoder.mlp.up.weight"][t, [t, place[t], one]] = 1.0, letters[-1], -letters[-1]
        tensors["decoder.mlp.down.weight"][read, t] = 1.0
    tensors["head.weight"][:, read], tensors["head.weight"][:, one] = 20.0 * letters**2, -10.0 * letters**4
    return save(tensors)


def test_a_code_can_hold_a_row_so_that_nothing_is_lost():
    batch = load_task("compression").held_out(Split.VALIDATION, KEY)
    codes = np.zeros((len(batch), SPEC.dim), dtype=np.float32)
    codes[:, : SPEC.max_len] = batch.inputs

    logits = decoding.decode(codes.tobytes(), len(batch), decoding.read_decoder(written_by_hand(), SPEC), SPEC)

    loss = scoring.score_answers(scoring.read_answers(logits, np.arange(len(batch)), SPEC), batch.targets)
    assert loss.nats < 1e-3
    assert loss.metrics["accuracy"] == 1.0


def test_an_audit_sees_what_a_decoder_makes_of_a_small_difference():
    batch = load_task("compression").held_out(Split.VALIDATION, KEY)
    sheets = make_sheets(batch.inputs, batch.targets, np.random.default_rng(1), causal=SPEC.stepwise)
    tensors = load(pack_weights(network()))
    decoder = decoding.read_decoder(save(tensors | {"head.weight": 1e6 * tensors["head.weight"]}), SPEC)
    codes = np.random.default_rng(2).normal(size=(len(batch), SPEC.dim)).astype(np.float32)

    def answered(order: np.ndarray, codes: np.ndarray) -> scoring.Answers:
        logits = decoding.decode(codes[order].tobytes(), len(order), decoder, SPEC)
        return scoring.read_answers(logits, order, SPEC)

    moved = codes.copy()
    moved[7] += 1e-6
    same, other = (
        scoring.audit(answered(sheets.order_a, codes), answered(sheets.order_b, each), sheets, batch.targets)[0]
        for each in (codes, moved)
    )

    assert same.passed
    assert not other.passed


def test_the_decoder_counts_into_the_budget():
    model = network()
    own = sum(math.prod(shape) for name, shape in decoding.decoder_shapes(SPEC).items() if name.startswith("decoder."))
    plain = SPEC.model_copy(update={"answers": "tokens"})

    assert parameter_count([model.decoder]) == own
    assert abs(parameter_count([model]) - SPEC.parameters) < sizing.SIZE_TOLERANCE * SPEC.parameters
    assert (sizing.mixer_allowance(plain) - sizing.mixer_allowance(SPEC)) * SPEC.layers == own


def test_a_decoder_for_longer_rows_is_not_paid_for_with_narrower_mlps():
    longer = measuring.lengthened(SPEC, Shift, 4 * SPEC.max_len)

    assert longer.parameters > SPEC.parameters
    assert sizing.hidden_width(longer, 10_000) == sizing.hidden_width(SPEC, 10_000)


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("decoder.places", None, r"decoder\.places is nothing, expected float32 of shape"),
        ("decoder.mlp.up.weight", np.zeros((1024, 64), np.float32), r"is float32 of shape \(1024, 64\), expected"),
        ("decoder.mlp.down.weight", np.zeros((64, 128)), r"is float64 of shape \(64, 128\), expected float32"),
        ("head.weight", np.zeros((17, 63), np.float32), r"head\.weight is float32 of shape \(17, 63\)"),
    ],
)
def test_a_decoder_of_another_form_is_refused(name, tensor, words):
    with pytest.raises(scoring.BadWeights, match=words):
        decoding.read_decoder(changed(name, tensor), SPEC)


def test_codes_that_are_no_numbers_or_too_few_are_refused():
    decoder = decoding.read_decoder(pack_weights(network()), SPEC)
    codes = np.zeros((3, SPEC.dim), dtype=np.float32)
    codes[1, 5] = np.nan

    with pytest.raises(scoring.BadLogits, match="1 of 3 codes hold NaN or infinity"):
        decoding.decode(codes.tobytes(), 3, decoder, SPEC)
    with pytest.raises(scoring.BadLogits, match=r"bytes of codes of shape \(4, 64\), got"):
        decoding.decode(codes.tobytes(), 4, decoder, SPEC)


@pytest.fixture(scope="module")
def laboratory(sandbox: Sandbox) -> Laboratory:
    task = load_task("compression", rung_tokens=[12_288])
    short = dataclasses.replace(task, spec=task.spec.model_copy(update={"max_len": 6}))
    return Laboratory(sandbox, short, KEY)


def candidate(answer: str = "y") -> Candidate:
    """The gated convolution, whose answer `y` is changed."""
    file = resources.files("netwright.evaluator.baselines").joinpath("gated_convolution.py")
    source = file.read_text(encoding="utf-8").replace("return y", f"return {answer}")
    return Candidate(source=source, scope=Scope.MIXER, title="", hypothesis="", origin="file")


def trial(laboratory: Laboratory, answer: str = "y") -> Trial:
    return laboratory.trial(candidate(answer), rung=0, seed=0)


def test_a_convolution_brings_what_its_taps_reach(laboratory):
    reports, result = laboratory.check(candidate()), trial(laboratory)

    assert [report.message for report in reports if not report.passed] == []
    assert result.status is TrialStatus.DONE, result.reason
    assert result.audit.passed
    assert result.audit.cut_loss_nats is None
    assert result.loss_nats < 0.8 * laboratory.task.chance_nats
    assert result.loss_nats == pytest.approx(result.curve[-1][1], abs=0.4)


def test_a_layer_that_looks_ahead_is_rejected_though_the_last_position_may_see_all(laboratory):
    reports = laboratory.check(candidate("y + y.mean(dim=1, keepdim=True)"))

    assert [report.gate for report in reports if report.rejects] == ["causality"]


def test_a_code_that_depends_on_the_other_rows_is_a_leak(laboratory):
    result = trial(laboratory, "y + (0.1 if not self.training and len(y) > 4 else 0) * y.mean(dim=0)")

    assert (result.status, result.loss_nats) == (TrialStatus.LEAK, None)
    assert "when only the order, the company and the repetition of rows changed" in result.reason
