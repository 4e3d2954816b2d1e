"""The critic adds words; it never changes a number, and an endpoint that fails costs nothing but the words."""

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from netwright.agents.endpoint import Endpoint
from netwright.agents.llm_critic import LlmCritic
from netwright.agents.retrying import RetryRule
from netwright.types import (
    Candidate,
    Context,
    Interval,
    LlmCall,
    Operator,
    Outcome,
    Recipe,
    Remembered,
    Rung,
    Scope,
    TaskSpec,
    Verdict,
)

Servers = Callable[..., Any]
WORDS = '{"changed": "a gate", "words": "No difference.", "lesson": "On recall, gates alone do little."}'
TASK = TaskSpec(
    name="recall",
    summary="find the value that belongs to a key",
    scope=Scope.MIXER,
    vocab_size=64,
    max_len=64,
    dim=64,
    heads=4,
    layers=2,
    parameters=90_000,
    metric="loss",
    recipe=Recipe(),
    rungs=(Rung(level=0, tokens=100_000),),
    validation_rows=8,
    test_rows=8,
)
VERDICT = Verdict(
    outcome=Outcome.NO_DIFFERENCE,
    rival_id="0" * 64,
    delta_nats=-0.01,
    interval=Interval(low=-0.05, high=0.03),
    words="within noise",
)


class DictLedger:
    def __init__(self) -> None:
        self.calls: list[LlmCall] = []

    def find(self, key: str) -> LlmCall | None:
        return next((call for call in reversed(self.calls) if call.key == key and call.reply), None)

    def record(self, call: LlmCall) -> None:
        self.calls.append(call)


def candidate(source: str) -> Candidate:
    return Candidate(source=source, scope=Scope.MIXER, title="Gated", hypothesis="Gates.", origin="llm:m")


def comment(server: Any, ledger: DictLedger | None = None) -> Verdict:
    body = "".join(f"line {index}\n" for index in range(40))
    parent = Remembered(candidate=candidate(body), operator=Operator.DRAFT, score=None, verdict=None)
    context = Context(task=TASK, operator=Operator.REFINE, parents=(parent,), seed=1)

    async def talk() -> Verdict:
        async with Endpoint(server.url, "scripted", retries=RetryRule(tries=2, wait_seconds=0.01)) as endpoint:
            critic = LlmCritic(endpoint, ledger or DictLedger())
            return await critic.comment(context, candidate(body.replace("line 20", "gate 20")), VERDICT)

    return asyncio.run(talk())


@pytest.mark.parametrize("reply", [WORDS, f"```json\n{WORDS}\n```", f"<think>{{hm}}</think> My verdict: {WORDS}"])
def test_words_are_added_and_numbers_stay(chat_server: Servers, reply: str) -> None:
    commented = comment(chat_server([reply]))

    assert commented.words == "No difference."
    assert commented.changed == "a gate"
    assert commented.lesson == "On recall, gates alone do little."
    assert commented.author == "llm:scripted"
    numbers = {"outcome", "rival_id", "delta_nats", "interval"}
    assert commented.model_dump(include=numbers) == VERDICT.model_dump(include=numbers)


def test_a_reply_cannot_rewrite_the_outcome(chat_server: Servers) -> None:
    server = chat_server(['{"words": "It won!", "outcome": "better", "delta_nats": -9, "lesson": null}'])

    commented = comment(server)

    assert (commented.outcome, commented.delta_nats) == (Outcome.NO_DIFFERENCE, -0.01)
    assert commented.lesson is None


@pytest.mark.parametrize(
    "fault",
    [
        lambda chat: chat.http_error(500, "busy"),
        lambda chat: chat.http_error(401, "no key"),
        lambda chat: chat.drop(),
        lambda chat: chat.completion("no JSON here"),
        lambda chat: chat.completion('{"words": ""}'),
    ],
    ids=["500", "401", "dropped", "prose", "empty"],
)
def test_without_usable_words_the_verdict_stays_as_it_was(
    chat_server: Servers, chat: ModuleType, fault: Callable[[ModuleType], Any]
) -> None:
    server = chat_server(default=fault(chat))
    ledger = DictLedger()

    assert comment(server, ledger) == VERDICT
    assert len(ledger.calls) == 1


def test_the_critic_sees_the_difference_and_the_interval(chat_server: Servers) -> None:
    server = chat_server([WORDS])

    comment(server)

    case = server.contents()[-1]
    assert "-line 20\n+gate 20" in case
    assert "line 5\n" not in case
    assert "no difference, delta -0.0100 nats against its rival, 95% interval [-0.0500, +0.0300]" in case
    asked = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert list(asked["properties"]) == ["changed", "words", "lesson"]
