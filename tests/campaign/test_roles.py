"""Who a campaign asks: the endpoint's first answer is waited for, what it teaches is kept under the home."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netwright.campaign.board import Board
from netwright.campaign.roles import make_agents, warm_up
from netwright.cli.live import one_line, writing_now
from netwright.config import CampaignConfig
from netwright.evaluator.tasks import load_task
from netwright.types import LlmCall


class NoLedger:
    def find(self, key: str) -> LlmCall | None:
        return None

    def record(self, call: LlmCall) -> None:
        """Nothing is kept."""


@pytest.fixture
def board() -> Board:
    return Board(name="small", task=load_task("recall").spec, config=CampaignConfig())


def begin(home: Path, board: Board, llm: dict[str, Any], environment: dict[str, str] | None = None) -> None:
    """Make the agents of a campaign and wait for its endpoint, as its first steps do."""
    config = CampaignConfig.model_validate({"llm": llm}).llm

    async def talk() -> None:
        agents = make_agents(config, NoLedger(), environment or {}, home, board)
        assert agents.endpoint is not None
        try:
            await warm_up(agents.endpoint, board)
        finally:
            await agents.endpoint.aclose()

    asyncio.run(talk())


def test_a_model_that_is_loading_is_waited_for_and_told_of(
    tmp_path: Path, board: Board, chat: ModuleType, chat_server: Callable[..., Any]
) -> None:
    told: list[str] = []

    def loading(_: Any) -> Any:
        told.append(one_line(board))
        return chat.http_error(503, "Loading model")

    server = chat_server([loading, "yes"])

    begin(tmp_path, board, {"url": server.url, "model": "scripted", "tries": 1})

    assert "waiting for a first token from http://127.0.0.1" in told[0]
    assert board.news[-1].startswith(f"scripted at {server.url} gave its first token after ")
    assert board.phase == "starting"


def test_the_next_campaign_knows_what_the_endpoint_refuses(
    tmp_path: Path, board: Board, chat: ModuleType, chat_server: Callable[..., Any]
) -> None:
    server = chat_server([chat.http_error(400, "Unsupported field: 'stream_options'")], default="yes")

    for _ in range(2):
        begin(tmp_path, board, {"url": server.root, "model": "scripted"})

    assert ["stream_options" in body for body in server.requests] == [True, False, False]
    (profile,) = (tmp_path / "endpoints").iterdir()
    assert json.loads(profile.read_text())["refused"] == ["stream_options"]


def test_what_is_being_written_shows_on_the_board_and_goes_when_it_ends(
    tmp_path: Path, board: Board, chat: ModuleType, chat_server: Callable[..., Any]
) -> None:
    server = chat_server([chat.stream(*[chat.piece("x" * 40) for _ in range(12)], pause_seconds=0.02)])
    seen: list[str] = []

    async def watch() -> None:
        while True:
            seen.append(writing_now(board))
            await asyncio.sleep(0.01)

    async def talk() -> None:
        config = CampaignConfig.model_validate({"llm": {"url": server.url, "model": "scripted"}}).llm
        endpoint = make_agents(config, NoLedger(), {}, tmp_path, board).endpoint
        assert endpoint is not None
        watching = asyncio.create_task(watch())
        await endpoint.verify()
        watching.cancel()
        await endpoint.aclose()

    asyncio.run(talk())

    assert any(words.startswith("probe 50 tokens, ") for words in seen)
    assert writing_now(board) == ""
