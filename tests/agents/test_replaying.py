"""Answers of a recorded campaign: word for word, failures at once, and a sentence where a question is a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from netwright.agents.chat import CUT_OFF, ChatRequest, Reply
from netwright.agents.faults import EndpointError, Fault
from netwright.agents.replaying import RecordedEndpoint
from netwright.errors import CapReached, ReplayError
from netwright.types import LlmCall

QUESTION = ChatRequest(
    role="planner",
    messages=({"role": "system", "content": "You design."}, {"role": "user", "content": "Known:\n- a 0.5\nPlan."}),
    prompt_sha256="one",
    tag="action=3 attempt=0",
)


class Calls:
    """Implements `Records` and `Ledger` with a list; what is looked up through the ledger is an error."""

    name = "first"

    def __init__(self, *calls: LlmCall, capped: bool = False) -> None:
        self._calls = calls
        self.capped = capped

    def find(self, key: str) -> LlmCall | None:
        return next((call for call in self._calls if call.key == key), None)

    def models(self) -> Sequence[str]:
        return sorted({call.model for call in self._calls})

    def alike(self, role: str, tag: str) -> Sequence[LlmCall]:
        return [call for call in self._calls if (call.role, call.tag) == (role, tag)]

    def record(self, call: LlmCall) -> None:
        raise AssertionError("a replay makes no call")


def call(request: ChatRequest, reply: str | None, status: str = "ok", model: str = "m", error: str = "") -> LlmCall:
    return LlmCall(
        key=request.key(model),
        role=request.role,
        model=model,
        prompt_sha256=request.prompt_sha256,
        messages=request.messages,
        tag=request.tag,
        reply=reply,
        status=status,
        error=error,
        prompt_tokens=12,
    )


def ask(request: ChatRequest, calls: Calls, model: str | None = None) -> Reply:
    return asyncio.run(RecordedEndpoint(calls, model).chat(request, calls))


@pytest.mark.parametrize("model", [None, "m"])
def test_a_reply_is_as_it_was(model: str | None) -> None:
    reply = ask(QUESTION, Calls(call(QUESTION, "<think>hm</think>yes", CUT_OFF)), model)

    assert (reply.text, reply.cut_off, reply.model, reply.prompt_tokens) == ("<think>hm</think>yes", True, "m", 12)


def test_a_failure_is_as_it_was() -> None:
    with pytest.raises(EndpointError, match=r"^busy$") as caught:
        ask(QUESTION, Calls(call(QUESTION, None, "server error", error="busy")))

    assert caught.value.fault is Fault.SERVER_ERROR


def changed(text: str) -> ChatRequest:
    return replace(QUESTION, messages=(QUESTION.messages[0], {"role": "user", "content": text}))


@pytest.mark.parametrize(
    ("request_now", "model", "words"),
    [
        (changed("Known:\n- a 0.7\nPlan."), None, "message 2, line 2: then '- a 0.5', now '- a 0.7'"),
        (changed("Known:\n- a 0.5\nPlan.\nNow."), None, "message 2, line 4: then '', now 'Now.'"),
        (replace(QUESTION, messages=QUESTION.messages[:1]), None, "Then there were 2 messages, now there are 1"),
        (replace(changed("Do."), prompt_sha256="two"), None, "prompt files are others: .* then 'Known:', now 'Do.'"),
        (replace(QUESTION, temperature=0.3), None, "the settings are not: temperature, max_tokens"),
        (QUESTION, "other", "Then the model 'm' was asked, and now other"),
        (replace(QUESTION, tag="action=4 attempt=0"), None, "Nothing was asked on that occasion"),
        (replace(QUESTION, role="coder"), None, r"its coder \(action=3 attempt=0\). Nothing was asked"),
    ],
)
def test_what_was_never_asked_is_told_with_what_differs(
    request_now: ChatRequest, model: str | None, words: str
) -> None:
    with pytest.raises(ReplayError, match=words):
        ask(request_now, Calls(call(QUESTION, "yes")), model)


def test_what_a_cap_had_no_room_for_is_refused_again() -> None:
    with pytest.raises(CapReached):
        ask(replace(QUESTION, role="critic"), Calls(call(QUESTION, "yes"), capped=True))
    with pytest.raises(ReplayError):
        ask(replace(QUESTION, temperature=0.3), Calls(call(QUESTION, "yes"), capped=True))
