"""The critic adds words; it never changes a number, and an endpoint that fails costs nothing but the words."""

import asyncio
import json
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
from small_designs import TASK, DictLedger

from netwright.agents.endpoint import Endpoint
from netwright.agents.llm_critic import LlmCritic
from netwright.agents.replies import Plan
from netwright.agents.retrying import RetryRule
from netwright.types import (
    Candidate,
    Context,
    Interval,
    Operator,
    Outcome,
    Remembered,
    Scope,
    Score,
    Verdict,
)

Servers = Callable[..., Any]
WORDS = '{"changed": "a gate", "words": "No difference.", "lesson": "On recall, gates alone do little."}'
SCORE = Score(value=-1.25, standard_error=0.02, rung=0, seeds=1)
VERDICT = Verdict(
    outcome=Outcome.NO_DIFFERENCE,
    rival_id="0" * 64,
    delta_nats=-0.01,
    interval=Interval(low=-0.05, high=0.03),
    words="within noise",
)


def candidate(source: str) -> Candidate:
    return Candidate(source=source, scope=Scope.MIXER, title="Gated", hypothesis="Gates.", origin="llm:m")


def comment(server: Any, ledger: DictLedger | None = None) -> Verdict:
    body = "".join(f"line {index}\n" for index in range(40))
    parent = Remembered(candidate=candidate(body), operator=Operator.DRAFT, score=None, verdict=None)
    context = Context(task=TASK, operator=Operator.REFINE, parents=(parent,), seed=1)

    async def talk() -> Verdict:
        async with Endpoint(server.url, "scripted", retries=RetryRule(tries=2, wait_seconds=0.01)) as endpoint:
            critic = LlmCritic(endpoint, ledger or DictLedger())
            return await critic.comment(context, candidate(body.replace("line 20", "gate 20")), SCORE, VERDICT)

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
    ("fault", "calls"),
    [
        (lambda chat: chat.http_error(500, "busy"), 1),
        (lambda chat: chat.http_error(401, "no key"), 1),
        (lambda chat: chat.drop(), 1),
        (lambda chat: chat.completion("no JSON here"), 2),
        (lambda chat: chat.completion('{"words": ""}'), 2),
    ],
    ids=["500", "401", "dropped", "prose", "empty"],
)
def test_without_usable_words_the_verdict_stays_as_it_was(
    chat_server: Servers, chat: ModuleType, fault: Callable[[ModuleType], Any], calls: int
) -> None:
    server = chat_server(default=fault(chat))
    ledger = DictLedger()

    assert comment(server, ledger) == VERDICT
    assert len(ledger.calls) == calls


def test_unusable_words_are_asked_for_again(chat_server: Servers) -> None:
    server = chat_server(["no JSON here", WORDS])

    assert comment(server).words == "No difference."
    assert "Send only the JSON object that was asked for" in server.contents()[-1]


def test_the_critic_sees_the_difference_and_the_interval(chat_server: Servers) -> None:
    server = chat_server([WORDS])

    comment(server)

    case = server.contents()[-1]
    assert "Its score: loss 1.2500 +- 0.0200 nats, rung 0, 1 seed." in case
    assert "-line 20\n+gate 20" in case
    assert "line 5\n" not in case
    assert "no difference, delta -0.0100 nats against its rival, 95% interval [-0.0500, +0.0300]" in case
    asked = server.requests[0]["response_format"]["json_schema"]["schema"]
    assert list(asked["properties"]) == ["changed", "words", "mechanism", "test", "lesson"]


def test_mechanism_and_test_become_part_of_the_words(chat_server: Servers) -> None:
    said = {"words": "It wins.", "mechanism": "The gate forgets.", "test": "Freeze the gate."}

    assert comment(chat_server([json.dumps(said)])).words == (
        "It wins. Mechanism: The gate forgets. Test: Freeze the gate."
    )


# --- plans, before anything is built ------------------------------------------------------------------------------

PLANS = [Plan(title=title, hypothesis="h") for title in ("Gate", "Delta", "Copy")]


def weigh(server: Any) -> Sequence[float] | None:
    async def talk() -> Sequence[float] | None:
        async with Endpoint(server.url, "scripted", retries=RetryRule(tries=1, wait_seconds=0.01)) as endpoint:
            return await LlmCritic(endpoint, DictLedger()).weigh(
                Context(task=TASK, operator=Operator.DRAFT, seed=1), PLANS
            )

    return asyncio.run(talk())


def opinions(**scores: float) -> str:
    return json.dumps({"opinions": [{"plan": int(plan[1:]), "score": score} for plan, score in scores.items()]})


def test_each_plan_gets_a_score(chat_server: Servers) -> None:
    server = chat_server([opinions(p2=9, p1=2.5, p3=4)])

    assert weigh(server) == [2.5, 9, 4]
    assert "2. Delta: h Changes: " in server.contents()[-1]


def test_a_plan_that_is_not_named_gets_what_the_worst_got(chat_server: Servers) -> None:
    assert weigh(chat_server([opinions(p2=9, p1=2, p7=0)])) == [2, 9, 2]


@pytest.mark.parametrize("reply", ["I like them all.", '{"opinions": [{"plan": 1, "score": 11}]}', opinions(p9=4)])
def test_without_usable_scores_there_is_no_opinion(chat_server: Servers, reply: str) -> None:
    assert weigh(chat_server([reply])) is None
