"""Try an exported folder out in a clean process, and hold its answers against those that count here.

    evaluator   design, weights, rows ──▶ logits      in the sandbox, as for a score
    clean       folder, the same rows ──▶ logits      python -I, no netwright, behind the walls of sandbox/clean.py

Both processes run the candidate, so both are confined, and what they answer are files that are read as raw numbers.
The rows are random: nothing that is scored is in them. That a hostile design can answer well here and otherwise
elsewhere is in its nature; nothing is claimed but that the export computes what was scored.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

import netwright
from netwright.errors import ExportError, IsolationError
from netwright.evaluator.scoring import FloatRows
from netwright.evaluator.sheets import Rows
from netwright.export.package import Package
from netwright.printable import Words
from netwright.sandbox.clean import NO_WALLS, CleanRun, run_clean
from netwright.types import TaskSpec

Work = Literal["torch", "hf", "onnx", "onnx export"]

ROWS = 8
TOLERANCES: Mapping[str, float] = {"torch": 1e-5, "hf": 1e-5, "onnx": 1e-4}
"""The largest difference of a logit that is rounding, where the largest logit is 1 or less; else times that logit.
Torch repeats its own numbers, as a rule to the last bit; onnxruntime has kernels of its own."""
SECONDS: Mapping[str, float] = {"torch": 120.0, "hf": 240.0, "onnx": 120.0, "onnx export": 600.0}
REPLY_BYTES = 64 << 10
ONNX_BYTES = 64 << 20
TEXT = "def f(x):\n\treturn 'é', \"\U0001f600\"\n"
"""What a tokenizer of bytes has to give back as it was."""
_SCRIPT = Path(__file__).parent / "inside.py"


class Told(BaseModel):
    """What a clean process says of its work beside the answers, its own claim."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    generated: tuple[int, ...] = ()
    tokenizer: bool | None = None
    loss_before: FiniteFloat | None = None
    loss_after: FiniteFloat | None = None
    free: Literal["rows", "rows and length"] | None = None
    not_free: tuple[Annotated[Words, Field(max_length=2000)], ...] = ()


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Literal["done", "failed"]
    reason: Annotated[Words, Field(max_length=2000)] = ""
    told: Told = Told()


@dataclass(frozen=True)
class Sheet:
    """Rows, and what the evaluator's own process answers to them, (N, P, V)."""

    rows: Rows
    answers: FloatRows


@dataclass(frozen=True, kw_only=True)
class Tried:
    """How far a folder's answers are from those that count: `difference` over all logits, at most `allowed`.

    `shapes` are those of the rows that were asked.
    """

    shapes: tuple[tuple[int, ...], ...]
    difference: float
    allowed: float
    told: Told


def sheets_of(spec: TaskSpec, rows: Rows, answers: FloatRows, *, any_length: bool = True) -> tuple[Sheet, ...]:
    """Return what is asked: all rows, and some again in another company, cut to half their length where they can be."""
    few = max(1, len(rows) // 2)
    if spec.stepwise and any_length and spec.max_len > 1:
        half = spec.max_len // 2
        return Sheet(rows, answers), Sheet(rows[:few, :half], answers[:few, :half])
    return Sheet(rows, answers), Sheet(rows[:few], answers[:few])


def try_out(folder: Path, work: Work, package: Package, sheets: Sequence[Sheet], *, walls: bool) -> Tried:
    """Load the folder where there is no netwright, and compare.

    Raises:
        ExportError: it does not load, does not answer, or answers something else.
        IsolationError: no clean process can be confined here.
    """
    with tempfile.TemporaryDirectory(prefix="netwright-clean-") as name:
        scratch = Path(name)
        told = _work(folder, work, package, [sheet.rows for sheet in sheets], scratch, walls=walls)
        found = [_answers(scratch, number, sheet) for number, sheet in enumerate(sheets)]
    scale = max(1.0, *(float(np.abs(sheet.answers).max()) for sheet in sheets))
    difference = max(_distance(ours.answers, theirs) for ours, theirs in zip(sheets, found, strict=True))
    allowed = TOLERANCES[work] * scale
    if not difference <= allowed:
        raise ExportError(
            f"the {work} export answers otherwise than the network it is of: logits differ by up to {difference:.3g}, "
            f"at most {allowed:.3g} is rounding; nothing was written"
        )
    if told.tokenizer is False:
        raise ExportError("the tokenizer of the export does not give a text back as it was; nothing was written")
    return Tried(shapes=tuple(sheet.rows.shape for sheet in sheets), difference=difference, allowed=allowed, told=told)


def to_onnx(folder: Path, package: Package, rows: Rows, *, walls: bool) -> tuple[bytes, Told]:
    """Return the ONNX file that a folder of format `torch` is translated to, and how free its axes are.

    Raises:
        ExportError: an operation of the design has no counterpart.
        IsolationError: no clean process can be confined here.
    """
    with tempfile.TemporaryDirectory(prefix="netwright-clean-") as name:
        scratch = Path(name)
        told = _work(folder, "onnx export", package, [rows], scratch, walls=walls)
        path = scratch / "model.onnx"
        size = path.lstat().st_size if path.exists() else 0
        if not 0 < size <= ONNX_BYTES + len(package.weights):
            raise ExportError(f"the ONNX file has {size:,} bytes: that is no translation of this network")
        return _read(path, size), told


def _work(folder: Path, work: Work, package: Package, sheets: Sequence[Rows], scratch: Path, *, walls: bool) -> Told:
    for number, rows in enumerate(sheets):
        asked = rows.astype(np.int64) if package.spec.inputs == "tokens" else rows
        np.save(scratch / f"rows-{number}.npy", asked)
    order = {
        "work": work,
        "folder": str(folder.resolve()),
        "scratch": str(scratch),
        "sheets": len(sheets),
        "readable": [str(folder.resolve())],
        "walls": walls,
        "seconds": SECONDS[work],
        "home": str(Path(netwright.__path__[0]).parent),
        "text": TEXT if (folder / "tokenizer.json").is_file() else "",
        "any_length": package.spec.stepwise,
        "max_len": package.spec.max_len,
    }
    ended = run_clean(_SCRIPT, order, scratch=scratch, seconds=SECONDS[work])
    return _reply(scratch, ended, work).told


def _reply(scratch: Path, ended: CleanRun, work: Work) -> _Reply:
    what = "translation to ONNX" if work == "onnx export" else f"{work} export"
    if ended.code is None:
        raise ExportError(f"the {what} was not done within {SECONDS[work]:.0f} s in a clean process")
    if ended.code == NO_WALLS:
        raise IsolationError(ended.log.strip().splitlines()[-1])
    try:
        path = scratch / "reply.json"
        reply = _Reply.model_validate_json(_read(path, min(path.lstat().st_size, REPLY_BYTES)))
    except (OSError, ValidationError):
        last = " ".join(ended.log.split()[-40:])
        raise ExportError(
            f"the {what} ended in a clean process with status {ended.code}: {last or 'no word'}"
        ) from None
    if reply.status != "done":
        failed = "could not be made" if work == "onnx export" else "does not work in a process without netwright"
        raise ExportError(f"the {what} {failed}: {reply.reason}")
    return reply


def _answers(scratch: Path, number: int, sheet: Sheet) -> FloatRows:
    """Read what was answered to a sheet, as (N, P, V) whatever shape the folder gives it."""
    path = scratch / f"answers-{number}.f32"
    try:
        data = _read(path, sheet.answers.size * 4)
    except OSError as error:
        raise ExportError(f"the export gave no answers of shape {sheet.answers.shape}: {error}") from None
    return np.frombuffer(data, dtype="<f4").reshape(sheet.answers.shape)


def _read(path: Path, size: int) -> bytes:
    """Read a file that an untrusted process left, of exactly that size. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            raise OSError(f"expected a file of {size} bytes, found {status.st_size}")
        return file.read(size)


def _distance(ours: FloatRows, theirs: FloatRows) -> float:
    """The largest difference of two logits; infinite where one of them is no number."""
    if not np.isfinite(theirs).all():
        return float("inf")
    return float(np.abs(ours.astype(np.float64) - theirs).max(initial=0.0))
