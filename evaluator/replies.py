"""What children may say, validated: unknown fields are ignored, wrong ones make the whole reply worthless."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, field_validator

from netwright.measures import Inference, State
from netwright.portrait import Portrait
from netwright.printable import Words
from netwright.types import GateReport, JsonDict

DYNAMIC_GATES = (
    *("builds", "parameters", "shapes", "finite", "large inputs", "determinism", "batch independence"),
    *("causality", "gradients"),
)
"""The gates that run the candidate, in order."""
PORTRAIT = "portrait"
"""What a check announces after the gates, as it does each of them."""
REASON_CHARACTERS_MAX = 2400
EVIDENCE_CHARACTERS_MAX = 2000

AnyLengths = TypeVar("AnyLengths", tuple[Inference, ...], tuple[State, ...])
Count = Annotated[int, Field(ge=0, le=1 << 53)]


class Reply(BaseModel):
    """What an entry of the worker returned."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CheckReply(Reply):
    """The reports, and, for `parse_portrait`, the portrait of a candidate that passed."""

    gates: Annotated[tuple[GateReport, ...], Field(max_length=len(DYNAMIC_GATES))]
    portrait: JsonDict = {}


def parse_portrait(reply: JsonDict) -> Portrait:
    """Return the validated portrait, an empty one where it is none: reports count without it."""
    try:
        return Portrait.model_validate(reply)
    except ValidationError:
        return Portrait()


class WorkReply(Reply):
    """How the work ended in the child's own view."""

    status: Literal[
        "done", "diverged", "bad weights", "leak", "error", "out of memory", "too many threads", "too many files"
    ]
    reason: Annotated[str, Field(max_length=REASON_CHARACTERS_MAX)]


class Executed(Reply):
    """What a training says of how it was computed, see `execution`."""

    precision: Annotated[str, Field(max_length=20)]
    not_in_bf16: Annotated[Words, Field(max_length=400)] | None = None
    backend: Annotated[str, Field(max_length=20)] | None = None
    compile_seconds: Annotated[FiniteFloat, Field(ge=0.0)] | None = None
    not_compiled: Annotated[Words, Field(max_length=400)] | None = None


class TrainReply(WorkReply):
    """What a training claims; only `weights_bytes` of it is used, to find the end of the weight file."""

    steps: Count = 0
    curve: Annotated[tuple[tuple[Count, FiniteFloat], ...], Field(max_length=200)] = ()
    train_seconds: FiniteFloat = 0.0
    weights_bytes: Count = 0
    flops_per_token: FiniteFloat | None = None
    executed: Executed | None = None


class CompileReply(WorkReply):
    """What came of compiling a network."""

    executed: Executed | None = None


class SeedsReply(WorkReply):
    """What a training of several seeds claims: a reply for each, to be read as a TrainReply, or none and a reason."""

    seeds: Annotated[tuple[JsonDict, ...], Field(max_length=100)] = ()


class MeasureReply(WorkReply):
    """What a candidate's process measured of itself."""

    inference: Annotated[tuple[Inference, ...], Field(max_length=8)] = ()
    states: Annotated[tuple[State, ...], Field(max_length=8)] = ()
    problems: Annotated[tuple[Annotated[str, Field(max_length=300)], ...], Field(max_length=8)] = ()

    @field_validator("inference", "states")
    @classmethod
    def _ascending(cls, value: AnyLengths) -> AnyLengths:
        lengths = [each.length for each in value]
        if lengths != sorted(set(lengths)):
            raise ValueError(f"expected each length once, in order, got {lengths}")
        return value


class CostReply(WorkReply):
    """What a candidate claims that a token takes; the training is held against it."""

    seconds_per_token: Annotated[FiniteFloat, Field(ge=0.0)] = 0.0
    operations_per_token: Annotated[FiniteFloat, Field(ge=0.0)] | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a training stands; `loss` is the training loss in nats that the candidate's process claims.

    A `point` is one of its curve: the loss is then the mean since the point before.
    """

    step: int
    steps: int
    loss: float
    point: bool = False


class _ProgressEvent(Reply):
    step: Count
    steps: Count
    loss: FiniteFloat
    point: bool = False


AnyReply = TypeVar("AnyReply", bound=Reply)


def parse_reply(reply: JsonDict | None, kind: type[AnyReply]) -> AnyReply | None:
    """Return the validated reply, or None where it is not one."""
    try:
        return kind.model_validate(reply)
    except ValidationError:
        return None


def parse_progress(event: JsonDict) -> Progress | None:
    """Return the progress that an event tells of, or None where it tells of something else."""
    said = parse_reply(event, _ProgressEvent)
    return Progress(step=said.step, steps=said.steps, loss=said.loss, point=said.point) if said else None


def parse_report(event: JsonDict) -> GateReport | None:
    """Return the gate report in an event, or None where there is none."""
    try:
        return shortened(GateReport.model_validate(event.get("report")))
    except ValidationError:
        return None


def shortened(report: GateReport) -> GateReport:
    """Return the report with no more text than a gate of ours would write: it goes into memory and prompts."""
    evidence = report.evidence if len(json.dumps(report.evidence)) <= EVIDENCE_CHARACTERS_MAX else {}
    return report.model_copy(update={"message": report.message[:REASON_CHARACTERS_MAX], "evidence": evidence})
