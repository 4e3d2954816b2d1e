"""The score, computed on the trusted side from what fresh, untrusted processes answered.

    sheet A (the rows) ─────────────▶ process A ──logits──▶ loss, accuracy, standard error
    sheet B (twins or rearranged) ──▶ process B ──logits──▶ the same answers? loss at the cuts     (per second sheet)

`sheets` says what the processes are asked. A candidate's weights and logits are bytes here: they are copied, parsed
without pickle, checked for size, shape and finiteness, and only then used. The loss is computed from raw logits by a
full log-softmax, so neither a patched loss nor an unnormalised "probability" means anything.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from netwright.evaluator.sheets import Order, Rows, Sheets
from netwright.evaluator.sizing import parameters_max
from netwright.evaluator.tasks.base import UNSCORED
from netwright.types import Audit, TaskSpec

FloatRows = npt.NDArray[np.float32]

AUDIT_TOLERANCE_FP32 = 2e-3
BUFFER_SHARE = 0.05
"""Room for persistent buffers, as a share of the bytes of the parameter budget.

They come back from training as the parameters do, so whatever stands in them is capacity beyond the budget. What
`__init__` can make again need not be saved; 5% leave room for counters and running statistics.
"""
HEADER_BYTES_MAX = 32 << 10
"""Of a weight file: some 300 tensors' names, types and shapes. More would be a place to keep notes."""
BUFFERS_KEY = "buffers"
_CHUNK_POSITIONS = 1024
"""As much as stays in a cache while it is worked on."""


class BadWeights(ValueError):
    """The bytes that came back as weights cannot be used; the message says why."""


class BadLogits(ValueError):
    """The bytes that came back as logits cannot be scored; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a process answered: (M, P, V) in its sheet's order, and where each of the N rows stands first.

    V logits at each of P positions, or one number (V = 1) where the task asks for that.
    """

    logits: FloatRows
    order: Order
    places: Order


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest |difference| of logits that should be equal, and in how many rows it is beyond rounding."""

    size: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Mean loss over scored positions in nats, its standard error over rows, and the task's other measures."""

    nats: float
    standard_error: float
    metrics: Mapping[str, float]
    positions: int


@dataclass(frozen=True, kw_only=True)
class WeightReport:
    """What the weight file holds: scalars that training may change, and bytes of buffers."""

    parameters: int
    buffer_bytes: int


def reply_bytes(rows: int, spec: TaskSpec) -> int:
    """Return the size of a process's reply to a sheet: float32 of shape (M, *spec.reply_shape)."""
    return rows * math.prod(spec.reply_shape) * 4


def read_answers(data: bytes | memoryview, order: Order, spec: TaskSpec) -> Answers:
    """Return the answers to a sheet in this order. Raises BadLogits unless every number is finite."""
    shape = (len(order), *spec.answer_shape)
    expected = math.prod(shape) * 4
    if len(data) != expected:
        raise BadLogits(f"expected {expected} bytes of logits of shape {shape}, got {len(data)}")
    logits = np.frombuffer(data, dtype="<f4").reshape(shape)
    # NaN and infinity survive the search for the extremes, which needs no array of flags.
    low, high = logits.min(axis=(1, 2)), logits.max(axis=(1, 2))
    finite = np.isfinite(low) & np.isfinite(high)
    if not finite.all():
        n_bad = int((~finite).sum())
        raise BadLogits(f"{n_bad} of {len(order)} rows of logits hold NaN or infinity: keep outputs finite")
    _, places = np.unique(order, return_index=True)
    return Answers(logits=logits, order=order, places=places)


def score_answers(answers: Answers, targets: Rows) -> Loss:
    """Return the loss of the answers against `targets` (N, P), where -100 is not scored.

    Targets that are whole numbers name a class: cross-entropy and accuracy. Others are themselves what is asked for:
    half the squared error (see `forms`), and R2 = 1 - squared error / variance of the targets.

    The standard error treats rows as independent draws and the mean as a ratio of row sums (Cochran 1977,
    6.4).
    """
    numbers = targets.dtype.kind == "f"
    rows, positions = np.nonzero(np.ones_like(targets, dtype=bool) if numbers else targets != UNSCORED)
    if not len(rows):
        raise ValueError("no position of the held-out rows is scored")
    asked = targets[rows, positions]
    if numbers:
        given = answers.logits[answers.places[rows], positions, 0].astype(np.float64)
        nats = 0.5 * np.square(given - asked)
        metrics = {"r2": 1.0 - 2.0 * float(nats.mean()) / float(np.var(asked, dtype=np.float64))}
    else:
        nats, hits = _nats_at(answers.logits, answers.places[rows], positions, asked)
        metrics = {"accuracy": float(hits.mean())}
    counts = np.bincount(rows, minlength=len(targets)).astype(np.float64)
    sums = np.bincount(rows, weights=nats, minlength=len(targets))
    mean = float(sums.sum() / counts.sum())
    n_rows = int((counts > 0).sum())
    spread = float(np.square(sums - mean * counts).sum())
    error = math.sqrt(spread * n_rows / (n_rows - 1)) / float(counts.sum()) if n_rows > 1 else 0.0
    return Loss(nats=mean, standard_error=error, metrics=metrics, positions=len(rows))


def _nats_at(
    logits: FloatRows,
    rows: Order,
    positions: Order,
    targets: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return -log softmax at the targets and whether the target was the most likely, per position."""
    nats = np.empty(len(rows), dtype=np.float64)
    hits = np.empty(len(rows), dtype=np.bool_)
    for start in range(0, len(rows), _CHUNK_POSITIONS):
        part = slice(start, start + _CHUNK_POSITIONS)
        # Halves keep the difference of two finite float32 finite; exp() of what underflows is rightly 0.
        halves = logits[rows[part], positions[part]]
        halves *= np.float32(0.5)
        halves -= halves.max(axis=1, keepdims=True)
        own = halves[np.arange(len(halves)), targets[part]].astype(np.float64)
        # A tie is no hit: constant logits must not count as knowing class 0.
        hits[part] = (own == 0) & (np.count_nonzero(halves, axis=1) == halves.shape[1] - 1)
        with np.errstate(under="ignore", over="ignore"):
            halves *= np.float32(2.0)
            mass = np.exp(halves, out=halves).sum(axis=1, dtype=np.float64)
        nats[part] = np.log(mass) - 2.0 * own
    return nats, hits


def audit(answers_a: Answers, answers_b: Answers, sheets: Sheets, targets: Rows) -> tuple[Audit, Difference]:
    """Compare the answers of both processes before the cuts, where both were asked the same, and of rows asked twice.

    The loss at the cuts is that of twins alone, where B was not given what it had to answer.
    """
    found = worst_difference(
        between_processes(answers_a, answers_b, sheets.cuts), between_repeats(answers_a), between_repeats(answers_b)
    )
    at_cut = np.full_like(targets, UNSCORED)
    if sheets.causal:
        rows, positions = np.arange(len(targets)), sheets.cuts - 1
        at_cut[rows, positions] = targets[rows, positions]
    asked = bool((at_cut != UNSCORED).any())
    result = Audit(
        rows=len(targets),
        max_logit_difference=found.size,
        tolerance=AUDIT_TOLERANCE_FP32,
        cut_loss_nats=score_answers(answers_b, at_cut).nats if asked else None,
    )
    return result, found


def worst_audit(audits: Sequence[Audit]) -> Audit:
    """Return the audit with the largest difference, with the mean loss at the cuts of all sheets."""
    worst = max(audits, key=lambda audit: audit.max_logit_difference)
    at_cuts = [audit.cut_loss_nats for audit in audits if audit.cut_loss_nats is not None]
    return worst.model_copy(update={"cut_loss_nats": sum(at_cuts) / len(at_cuts) if at_cuts else None})


def between_processes(answers_a: Answers, answers_b: Answers, cuts: Order) -> Difference:
    """Compare each row's answers before its cut."""
    pairs = zip(answers_a.places, answers_b.places, cuts, strict=True)
    return _largest([(answers_a.logits[a, :cut], answers_b.logits[b, :cut]) for a, b, cut in pairs])


def between_repeats(answers: Answers) -> Difference:
    """Compare the answers to rows that stand on a sheet more than once, at all positions."""
    firsts = answers.places[answers.order]
    again = np.flatnonzero(firsts != np.arange(len(firsts)))
    return _largest([(answers.logits[firsts[place]], answers.logits[place]) for place in again])


def worst_difference(*found: Difference) -> Difference:
    """Return the largest of several differences."""
    return max(found, key=lambda difference: difference.size)


def _largest(pairs: Sequence[tuple[FloatRows, FloatRows]]) -> Difference:
    worst = np.zeros(len(pairs), dtype=np.float64)
    with np.errstate(over="ignore"):
        for row, (first, second) in enumerate(pairs):
            worst[row] = np.abs(first - second).max()
    # Two finite float32 can differ by more than float32 holds.
    capped = np.minimum(worst, float(np.finfo(np.float32).max))
    return Difference(size=float(capped.max(initial=0.0)), rows=int((capped > AUDIT_TOLERANCE_FP32).sum()))


def weight_bytes_max(spec: TaskSpec) -> int:
    """Return how large a weight file may be: parameters with slack, buffers, header."""
    return parameters_max(spec) * 4 + buffer_bytes_max(spec) + HEADER_BYTES_MAX


def buffer_bytes_max(spec: TaskSpec) -> int:
    """Return how many bytes all persistent buffers may take together."""
    return int(BUFFER_SHARE * spec.parameters * 4)


def buffer_message(n_bytes: int, n_scalars: int, bytes_max: int) -> str:
    """Return what is wrong with so large buffers and what to do."""
    return (
        f"{n_scalars:,} scalars ({n_bytes:,} bytes) in persistent buffers; at most {bytes_max // 4:,} of 32 bits "
        f"({bytes_max:,} bytes): register_buffer(..., persistent=False) for what __init__ can make again"
    )


def read_weights(data: bytes, spec: TaskSpec) -> WeightReport:
    """Check a weight file in safetensors form.

    The file says itself which tensors are buffers. That can move no more than the buffers' share from one limit to
    the other: everything counts somewhere, in units of 32 bits.

    Raises BadWeights if it is malformed, too large or not finite.
    """
    if len(data) > weight_bytes_max(spec):
        raise BadWeights(f"the weight file has {len(data)} bytes, at most {weight_bytes_max(spec)} are allowed")
    buffers = _buffer_names(data)
    try:
        tensors = load_safetensors(data)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise BadWeights(f"the weight file is not a safetensors file: {error}") from None
    infinite = [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
    if infinite:
        raise BadWeights(f"{infinite[0][:80]} holds NaN or infinity after training ({len(infinite)} tensors do)")
    parameters = [tensor for name, tensor in tensors.items() if name not in buffers]
    saved = [tensor for name, tensor in tensors.items() if name in buffers]
    n_parameters = sum(max(tensor.size, tensor.nbytes // 4) for tensor in parameters)
    n_buffer_bytes = sum(tensor.nbytes for tensor in saved)
    if n_parameters > parameters_max(spec):
        raise BadWeights(f"{n_parameters} parameters came back, the task's budget is {spec.parameters}")
    if n_buffer_bytes > buffer_bytes_max(spec):
        raise BadWeights(buffer_message(n_buffer_bytes, sum(tensor.size for tensor in saved), buffer_bytes_max(spec)))
    return WeightReport(parameters=n_parameters, buffer_bytes=n_buffer_bytes)


def _buffer_names(data: bytes) -> frozenset[str]:
    """Read which tensors the file declares as buffers: a JSON list in the header's metadata."""
    try:
        (length,) = struct.unpack("<Q", data[:8])
        if length > HEADER_BYTES_MAX:
            raise BadWeights(f"the weight file's header has {length} bytes, at most {HEADER_BYTES_MAX} are allowed")
        names: Sequence[object] = json.loads(
            json.loads(data[8 : 8 + length]).get("__metadata__", {}).get(BUFFERS_KEY, "[]")
        )
        return frozenset(str(name) for name in names)
    except (struct.error, ValueError, AttributeError, TypeError, RecursionError) as error:
        if isinstance(error, BadWeights):
            raise
        raise BadWeights("the weight file has no readable safetensors header") from None
