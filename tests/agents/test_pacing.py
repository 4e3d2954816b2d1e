"""How many requests are let out at once follows what the server bears."""

import asyncio
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from netwright.agents.chat import ChatRequest
from netwright.agents.endpoint import Endpoint
from netwright.agents.pacing import Pace
from netwright.agents.retrying import RetryRule
from netwright.types import LlmCall


class NoLedger:
    def find(self, key: str) -> LlmCall | None:
        return None

    def record(self, call: LlmCall) -> None:
        """Nothing is kept."""


def request(number: int) -> ChatRequest:
    return ChatRequest(role="planner", messages=({"role": "user", "content": f"Hello {number}"},))


def ask_all(url: str, count: int, **options: Any) -> None:
    async def talk() -> None:
        rule = RetryRule(tries=8, wait_seconds=0.01, longest_wait_seconds=0.05)
        async with Endpoint(url, "scripted", retries=rule, **options) as endpoint:
            await asyncio.gather(*(endpoint.chat(request(number), NoLedger()) for number in range(count)))

    asyncio.run(talk())


def test_a_refusal_halves_it_and_answers_raise_it_again() -> None:
    async def play() -> list[float]:
        pace, seen = Pace(8), []
        pace.overloaded()
        pace.overloaded()
        pace.overloaded()
        pace.overloaded()
        seen.append(pace.limit)
        for _ in range(3):
            async with pace:
                pace.answered(10.0)
            seen.append(pace.limit)
        for _ in range(200):
            pace.answered(10.0)
        return [*seen, pace.limit]

    assert asyncio.run(play()) == [1.0, 2.0, 2.5, 2.9, 8.0]


def test_it_shrinks_to_the_size_that_brought_most_in_all() -> None:
    async def play() -> float:
        pace = Pace(4)
        async with pace, pace:
            pace.answered(30.0)
        async with pace, pace, pace, pace:
            pace.answered(10.0)
        return pace.limit

    assert asyncio.run(play()) == 2.0, "two at 30 tokens/s are more than four at 10"


def test_who_waits_and_gives_up_keeps_nobody_waiting() -> None:
    async def play() -> str:
        pace = Pace(1)

        async def wait() -> str:
            async with pace:
                return "in"

        async with pace:
            impatient, patient = asyncio.create_task(wait()), asyncio.create_task(wait())
            await asyncio.sleep(0)
            impatient.cancel()
            await asyncio.sleep(0)
        return await asyncio.wait_for(patient, 1)

    assert asyncio.run(play()) == "in"


def test_a_server_that_refuses_more_than_two_at_once_is_soon_asked_less(
    chat_server: Callable[..., Any], chat: ModuleType
) -> None:
    server: Any = None

    def overloaded(_: Any) -> Any:
        if server.at_once > 2:
            return chat.http_error(429, "too many requests")
        time.sleep(0.02)
        return "Hi"

    server = chat_server(default=overloaded)

    ask_all(server.url, 12, concurrency=8)

    assert len(server.requests) - 12 < 16, "without adapting, eight at a time would be refused again and again"


def test_by_default_one_is_asked_at_a_time(chat_server: Callable[..., Any]) -> None:
    def slowly(_: Any) -> Any:
        time.sleep(0.02)
        return "Hi"

    server = chat_server(default=slowly)

    ask_all(server.url, 4)

    assert server.most_at_once == 1
