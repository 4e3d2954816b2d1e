"""A campaign at one moment, for whoever shows it: this process from its board, another one from a small file.

The file, HOME/live/NAME.json, is replaced once a second while a campaign runs and taken away at its end. It is for
watching only: nothing is read back from it, so that losing it loses nothing, and a disk that is full stops no campaign.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

from pydantic import Field, ValidationError

from netwright.campaign.board import Board, Leader
from netwright.memory.model_use import ModelUse
from netwright.printable import Words
from netwright.types import Frozen, Score

BEAT_SECONDS = 1.0
STALE_SECONDS = 10.0
"""A file that is older is left over from a process that was killed, or that had no time to write for long."""


class SlotGlance(Frozen):
    """What one training slot does, and since how many seconds."""

    number: int
    title: Words
    purpose: str
    step: int
    steps: int
    loss_nats: float | None
    seconds: float


class Best(Frozen):
    """The best of a kind so far."""

    candidate_id: str
    title: Words
    score: Score


class WritingGlance(Frozen):
    """An answer that a model is writing."""

    role: str
    tokens: int
    tokens_per_second: float


class Glance(Frozen):
    """The state of a campaign; `at` is in seconds since 1970, the rest as on the `Board`."""

    at: float = Field(default_factory=time.time)
    name: str
    unit: str
    tier: str
    phase: str
    trained: int
    trials: int
    promoted: int
    workers: int
    elapsed_seconds: float
    remaining_seconds: float | None
    slot_use: float
    slots: tuple[SlotGlance, ...]
    best: Best | None
    best_baseline: Best | None
    failures: dict[str, int]
    duplicates: dict[str, int]
    prompt_tokens: int
    prefix_tokens: int
    completion_tokens: int
    llm_cost: float | None
    serving: str
    writing: tuple[WritingGlance, ...]
    models: tuple[ModelUse, ...]


def glance(board: Board) -> Glance:
    """What the board shows now."""
    now = time.monotonic()
    slots = (
        SlotGlance(
            number=number,
            title=slot.title,
            purpose=slot.purpose,
            step=slot.step,
            steps=slot.steps,
            loss_nats=slot.loss_nats,
            seconds=now - slot.since,
        )
        for number, slot in sorted(board.slots.copy().items())
    )
    writing = (
        WritingGlance(role=each.role, tokens=each.tokens, tokens_per_second=each.tokens_per_second)
        for each in list(board.writing.values())
    )
    return Glance(
        name=board.name,
        unit=board.task.unit,
        tier=board.tier,
        phase=board.phase,
        trained=board.trained,
        trials=board.config.budget.trials,
        promoted=board.promoted,
        workers=board.config.workers,
        elapsed_seconds=board.elapsed_seconds,
        remaining_seconds=board.remaining_seconds(),
        slot_use=board.slot_use(),
        slots=tuple(slots),
        best=_best(board.best),
        best_baseline=_best(board.best_baseline),
        failures=dict(board.failures),
        duplicates=dict(board.duplicates),
        prompt_tokens=board.prompt_tokens,
        prefix_tokens=board.prefix_tokens,
        completion_tokens=board.completion_tokens,
        llm_cost=board.llm_cost,
        serving=board.serving,
        writing=tuple(writing),
        models=tuple(board.models),
    )


def _best(leader: Leader | None) -> Best | None:
    if leader is None:
        return None
    return Best(candidate_id=leader.candidate_id, title=leader.title, score=leader.score)


async def beat(home: Path, board: Board) -> None:
    """Write the board down once a second, until cancelled; then take the file away."""
    path = _path(home, board.name)
    try:
        while True:
            with contextlib.suppress(OSError):
                _write(path, glance(board))
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def last_beat(home: Path, name: str) -> Glance | None:
    """What the process that runs the campaign wrote last; None where nothing is there, or it is too old."""
    try:
        found = Glance.model_validate_json(_path(home, name).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if abs(time.time() - found.at) < STALE_SECONDS else None


def _write(path: Path, state: Glance) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_text(state.model_dump_json(), encoding="utf-8")
    os.replace(aside, path)


def _path(home: Path, name: str) -> Path:
    return home / "live" / f"{name}.json"
