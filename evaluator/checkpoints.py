"""Keep where a training stands, so that one that was interrupted goes on from there.

    child: packed state ─▶ shared memory, "step 420, so many bytes, this hash" ─▶ trusted side: copy, compare, keep
    next child:  kept state as an input, and the number of steps that are done

A checkpoint is a claim of the candidate's process, and bytes that the trusted side never looks into: one that is
forged changes the forger's own training alone. It buys no steps: how many are done is what was said when it was kept,
and the next session is given what is left of the budget, and of the time for it.

A checkpoint belongs to one trial under the conditions of it. Where they are others now, it is thrown away.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Annotated, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from netwright.errors import StoreError
from netwright.evaluator import scoring
from netwright.evaluator.replies import Count, Reply, parse_reply
from netwright.sandbox.job import Job, SharedOutput
from netwright.types import JsonDict, TaskSpec

_log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 30.0
"""How often a training is to be kept, and how long it has to run before it is kept for the first time."""
_GENERATOR_BYTES = 64 << 10
"""More than what is neither weights nor optimizer takes: torch's generator, a curve, a header for each."""


class Shelf(Protocol):
    """Where checkpoints lie, by name. Raises StoreError where nothing can be written."""

    def put_checkpoint(self, name: str, data: bytes) -> None: ...

    def checkpoint(self, name: str) -> bytes | None: ...

    def drop_checkpoint(self, name: str) -> None: ...


@dataclass(frozen=True)
class Kept:
    """Where an earlier session left a training: `step` steps done in `wall_seconds`, and the curve's points so far."""

    step: int = 0
    wall_seconds: float = 0.0
    points: tuple[tuple[int, float], ...] = ()
    data: bytes = b""


class _Header(BaseModel):
    """The first line of a file, written by the trusted side; the child's bytes follow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    conditions: JsonDict
    step: Annotated[int, Field(ge=1)]
    wall_seconds: FiniteFloat
    points: tuple[tuple[int, FiniteFloat], ...]
    sha256: str


class _Claim(Reply):
    """What a child says when it has laid a checkpoint into the shared memory."""

    checkpoint: Count
    bytes: Count
    sha256: Annotated[str, Field(max_length=64)]


def bytes_max(spec: TaskSpec) -> int:
    """Return how large a checkpoint may be: weights, what the optimizer holds of each, and the generator."""
    return 3 * scoring.weight_bytes_max(spec) + _GENERATOR_BYTES


class Checkpoints:
    """The checkpoints of one training of `steps` steps: the one to go on from, and those that come.

    `trial` names the trial, and `conditions` what else has to be the same for going on. Without a shelf nothing is
    kept.
    """

    def __init__(
        self, shelf: Shelf | None, trial: JsonDict, conditions: JsonDict, *, steps: int, room: int, every: float
    ) -> None:
        self._shelf, self._steps, self._every = shelf, steps, every
        self._conditions = {"torch": version("torch"), "steps": steps, **trial, **conditions}
        self._name = hashlib.sha256(repr(sorted(trial.items())).encode()).hexdigest()
        self._memory = SharedOutput(room) if shelf is not None else None
        self.kept = self._load() or Kept()
        self._latest = self.kept.step
        self._begun = self._last = time.monotonic()

    def of(self, job: Job) -> Job:
        """Return the job that trains as one that goes on where it was left, and lays out where it stands."""
        if self._memory is None:
            return job
        return replace(
            job,
            payload=job.payload | {"done": self.kept.step, "keep_every": self._every},
            inputs={**job.inputs, **({"checkpoint": self.kept.data} if self.kept.step else {})},
            outputs={**job.outputs, "checkpoint": self._memory},
        )

    @property
    def left(self) -> float:
        """Which share of the steps is still to be done."""
        return 1 - self.kept.step / self._steps

    @property
    def telemetry(self) -> JsonDict:
        """What a trial that went on remembers of that: after how many steps, and seconds, of earlier sessions."""
        return {"resumed": {"step": self.kept.step, "wall_seconds": self.kept.wall_seconds}} if self.kept.step else {}

    def hear(self, event: JsonDict, points: Sequence[tuple[int, float]]) -> None:
        """Keep what an event says was laid out, with the curve's `points` so far, if it is that."""
        claim, now = parse_reply(event, _Claim), time.monotonic()
        if claim is None or self._memory is None or self._shelf is None:
            return
        # Half the time is what an honest child may be early by; more often is only there to keep the disk busy.
        if now - self._last < self._every / 2 or not self._latest < claim.checkpoint < self._steps:
            return
        self._last = now
        data = bytes(self._memory.read(claim.bytes))
        if hashlib.sha256(data).hexdigest() != claim.sha256:
            _log.warning("checkpoint not kept name=%s: its bytes are not those announced", self._name[:12])
            return
        seconds = self.kept.wall_seconds + now - self._begun
        header = _Header(
            conditions=self._conditions,
            step=claim.checkpoint,
            wall_seconds=seconds,
            points=tuple(points),
            sha256=claim.sha256,
        )
        try:
            self._shelf.put_checkpoint(self._name, header.model_dump_json().encode() + b"\n" + data)
        except StoreError as error:  # a training that cannot be kept is still a training
            _log.warning("checkpoint not kept name=%s: %s", self._name[:12], error)
        else:
            self._latest = claim.checkpoint

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Free the shared memory."""
        if self._memory is not None:
            self._memory.close()

    def drop(self) -> None:
        """Forget what was kept: the trial is over."""
        if self._shelf is not None:
            self._shelf.drop_checkpoint(self._name)

    def _load(self) -> Kept | None:
        """Return what may be gone on from; throw away what may not."""
        raw = self._shelf.checkpoint(self._name) if self._shelf is not None else None
        if raw is None:
            return None
        line, _, data = raw.partition(b"\n")
        why = ""
        try:
            header = _Header.model_validate_json(line)
        except ValidationError:
            why = "it is no checkpoint"
        else:
            differ = [key for key, value in self._conditions.items() if header.conditions.get(key) != value]
            if differ:
                why = f"it was made with another {differ[0]}"
            elif hashlib.sha256(data).hexdigest() != header.sha256 or header.step >= self._steps:
                why = "it is damaged"
        if why:
            _log.warning("checkpoint thrown away name=%s: %s; the training begins anew", self._name[:12], why)
            self.drop()
            return None
        _log.info("training goes on name=%s step=%d of %d", self._name[:12], header.step, self._steps)
        return Kept(header.step, header.wall_seconds, header.points, data)
