"""What a running campaign lets another process see of it, and that it depends on nothing of this."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from netwright.campaign.board import Board, Slot
from netwright.campaign.glance import STALE_SECONDS, Glance, beat, glance, last_beat
from netwright.config import CampaignConfig
from netwright.evaluator.tasks import load_task
from netwright.types import Score


@pytest.fixture
def board() -> Board:
    board = Board(name="small", task=load_task("recall").spec, config=CampaignConfig(task="recall"))
    board.slots[0] = Slot("Gated decay", "score", time.monotonic() - 5, step=3, steps=10, loss_nats=2.5)
    board.failures["gate: causality"] = 2
    board.leads("a" * 64, "Gated decay", Score(value=-2.0, standard_error=0.1, rung=0, seeds=1), baseline=False)
    return board


def beaten(home: Path, board: Board) -> Glance | None:
    """What another process reads while the board beats."""

    async def watch() -> Glance | None:
        beating = asyncio.create_task(beat(home, board))
        await asyncio.sleep(0.05)
        seen = last_beat(home, board.name)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        return seen

    return asyncio.run(watch())


def test_another_process_sees_what_the_board_shows(tmp_path: Path, board: Board) -> None:
    seen = beaten(tmp_path, board)

    assert seen is not None
    moving = {"at", "elapsed_seconds", "slot_use", "slots"}
    assert seen.model_dump(exclude=moving) == glance(board).model_dump(exclude=moving)
    (slot,) = seen.slots
    assert (slot.title, slot.step, slot.steps, slot.loss_nats) == ("Gated decay", 3, 10, 2.5)
    assert 5.0 <= slot.seconds < 10.0


def test_at_the_end_nothing_is_left_behind(tmp_path: Path, board: Board) -> None:
    beaten(tmp_path, board)

    assert list((tmp_path / "live").iterdir()) == []


def test_what_a_killed_campaign_left_is_not_taken_for_its_state(tmp_path: Path, board: Board) -> None:
    path = tmp_path / "live" / "small.json"
    path.parent.mkdir()
    path.write_text(glance(board).model_copy(update={"at": time.time() - STALE_SECONDS - 1}).model_dump_json())

    assert last_beat(tmp_path, "small") is None
    path.write_text('{"at": 1')
    assert last_beat(tmp_path, "small") is None


def test_a_home_that_cannot_be_written_stops_no_campaign(tmp_path: Path, board: Board) -> None:
    (tmp_path / "live").write_text("a file where the folder belongs")

    assert beaten(tmp_path, board) is None
    assert os.listdir(tmp_path) == ["live"]
