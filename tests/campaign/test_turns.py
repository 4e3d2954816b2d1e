"""A model and trainings that share a device have it in turn; the server of the model is a real process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import stub_model_server

from netwright.agents.chat import ChatRequest
from netwright.agents.endpoint import Endpoint
from netwright.agents.model_server import ModelServer
from netwright.campaign.turns import Turns
from netwright.types import LlmCall

HELLO = ChatRequest(role="planner", messages=({"role": "user", "content": "Hello"},))


class NoLedger:
    def find(self, key: str) -> LlmCall | None:
        return None

    def record(self, call: LlmCall) -> None:
        """Nothing is kept."""


class Diary:
    """Who has the device, in order."""

    def __init__(self, linger_seconds: float = 0.0) -> None:
        self.lines: list[str] = []
        self.turns = Turns(self._park, linger_seconds)

    async def _park(self) -> None:
        await asyncio.sleep(0.01)
        self.lines.append("parked")

    async def train(self, name: str, seconds: float = 0.03) -> None:
        async with self.turns.training():
            await self._spend(name, seconds)

    async def ask(self, name: str, seconds: float = 0.03) -> None:
        async with self.turns.asking():
            await self._spend(name, seconds)

    async def _spend(self, name: str, seconds: float) -> None:
        self.lines.append(f"{name} begins")
        await asyncio.sleep(seconds)
        self.lines.append(f"{name} ends")


def live(plan: Callable[[Diary], Awaitable[object]], linger_seconds: float = 0.0) -> list[str]:
    async def run() -> list[str]:
        diary = Diary(linger_seconds)
        await asyncio.wait_for(plan(diary), 10)
        return diary.lines

    return asyncio.run(run())


async def soon(*work: Awaitable[object]) -> None:
    """Start all of it, each a little after the one before."""
    started = []
    for each in work:
        started.append(asyncio.ensure_future(each))
        await asyncio.sleep(0.005)
    await asyncio.gather(*started)


def test_a_question_waits_for_all_trainings_of_a_turn_and_they_are_parked_for_once() -> None:
    lines = live(lambda diary: soon(diary.train("a", 0.05), diary.ask("question"), diary.train("b", 0.1)))

    assert lines == ["parked", "a begins", "b begins", "a ends", "b ends", "question begins", "question ends"]


def test_trainings_wait_for_all_questions_of_a_turn() -> None:
    lines = live(lambda diary: soon(diary.ask("a", 0.05), diary.train("training"), diary.ask("b", 0.1)))

    assert lines == ["a begins", "b begins", "a ends", "b ends", "parked", "training begins", "training ends"]


def test_trainings_begin_when_nobody_asked_for_a_while() -> None:
    async def plan(diary: Diary) -> None:
        training = asyncio.create_task(diary.train("training"))
        for name in ("plan", "repair"):
            await diary.ask(name)
            await asyncio.sleep(0.1)
        await training

    assert live(plan, linger_seconds=0.3)[-3:] == ["parked", "training begins", "training ends"]


def test_who_is_cancelled_while_waiting_or_working_holds_nobody_up() -> None:
    async def plan(diary: Diary) -> None:
        working, waiting = asyncio.create_task(diary.train("never", 60)), asyncio.create_task(diary.ask("no"))
        await asyncio.sleep(0.05)
        waiting.cancel()
        working.cancel()
        await asyncio.gather(waiting, working, return_exceptions=True)
        await diary.ask("question")
        await diary.train("training")

    assert live(plan) == [
        *("parked", "never begins", "question begins", "question ends"),
        *("parked", "training begins", "training ends"),
    ]


def test_what_cannot_be_parked_is_told_and_locks_nobody_out() -> None:
    async def fail() -> None:
        raise OSError("it stays")

    async def run() -> None:
        turns = Turns(fail, 0.0)
        with pytest.raises(OSError, match="it stays"):
            async with turns.training():
                raise AssertionError("there was no room")
        async with turns.asking():
            """Let in."""

    asyncio.run(run())


def test_a_parked_server_has_no_process_and_answers_the_next_question(tmp_path: Path) -> None:
    server = ModelServer(
        "/models/tiny",
        device="cpu",
        log=tmp_path / "tiny.log",
        environment=os.environ,
        serve=(sys.executable, stub_model_server.__file__),
    )
    turns = Turns(server.down, 0.0)

    async def train() -> None:
        async with turns.training():
            assert not server.running and not any(map(runs, pids()))
            await asyncio.sleep(0.2)

    def pids() -> list[int]:
        lines = server.log.read_text().splitlines()
        return [pid for line in lines if line.startswith("{") for pid in json.loads(line).get("pids", [])]

    async def talk() -> None:
        async with Endpoint(server.url, server.model, server=server, turn=turns.asking) as endpoint:
            await endpoint.verify()
            assert all(map(runs, pids()))
            training = asyncio.create_task(train())
            await asyncio.sleep(0.05)
            began = time.monotonic()
            reply = await endpoint.chat(HELLO, NoLedger())
            assert training.done() and time.monotonic() - began > 0.1
            assert reply.text == "yes" and len(pids()) == 4
            await training

    asyncio.run(talk())

    assert not any(map(runs, pids()))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
