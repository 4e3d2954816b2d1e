"""Answers in the very shapes of the servers that people run: models, whole and streamed completions, errors.

Each file of `recorded/` has what one server sends, with `$ANSWER` and `$THOUGHT` where its model speaks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from author import fenced_file
from chat_server import ChatServer, Step, raw_json, stream
from small_designs import source_of, step_of

from netwright.agents.endpoint import Endpoint
from netwright.agents.faults import EndpointError, Fault, fault_of_status
from netwright.agents.llm_coder import LlmCoder
from netwright.agents.replies import Plan, split_thinking
from netwright.agents.retrying import RetryRule
from netwright.types import LlmCall, Proposal

Servers = Callable[..., ChatServer]
RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).parent.glob("recorded/*.json"))}
THOUGHT = "A gain may do."
PLAN = Plan(title="Design 3", hypothesis="It helps.")
ERRORS = [
    pytest.param(name, error, id=f"{name}: {error['says']}") for name in RECORDED for error in RECORDED[name]["errors"]
]


class Calls:
    """A ledger that keeps replies."""

    def __init__(self) -> None:
        self.calls: list[LlmCall] = []

    def find(self, key: str) -> LlmCall | None:
        return None

    def record(self, call: LlmCall) -> None:
        self.calls.append(call)


def filled(shape: Any, text: str, thought: str = THOUGHT) -> Any:
    """The same shape with the model's words in it."""
    if isinstance(shape, dict):
        return {name: filled(part, text, thought) for name, part in shape.items()}
    if isinstance(shape, list):
        return [filled(part, text, thought) for part in shape]
    return {"$ANSWER": text, "$THOUGHT": thought}.get(shape, shape) if isinstance(shape, str) else shape


def whole(shapes: dict[str, Any], text: str) -> Step:
    return Step(json.dumps(filled(shapes["whole"], text)).encode(), whole=True)


def streamed(shapes: dict[str, Any], text: str) -> Step:
    form = shapes["stream"]
    thought = [filled(form["thought"], "", part) for part in (THOUGHT[:5], THOUGHT[5:])]
    spoken = [filled(form["answer"], text[at : at + 7]) for at in range(0, len(text), 7)]
    return stream(*form["head"], *thought, *spoken, *form["tail"])


def propose(server: ChatServer) -> tuple[Proposal, LlmCall]:
    """Have one design proposed by the model that the server lists."""
    calls = Calls()

    async def work() -> Proposal:
        async with Endpoint(server.root, retries=RetryRule(tries=1)) as endpoint:
            return await LlmCoder(endpoint, calls).write(step_of(3), PLAN)

    return asyncio.run(work()), calls.calls[0]


@pytest.mark.parametrize("form", [whole, streamed])
@pytest.mark.parametrize("name", RECORDED)
def test_a_design_comes_through_in_one_request(
    chat_server: Servers, name: str, form: Callable[[dict[str, Any], str], Step]
) -> None:
    shapes = RECORDED[name]
    server = chat_server(default=lambda body: form(shapes, fenced_file(source_of(3))), models=shapes["models"]["data"])

    proposal, call = propose(server)

    assert proposal.source == source_of(3)
    assert proposal.origin == f"llm:{shapes['models']['data'][0]['id']}"
    assert len(server.requests) == 1
    assert (call.prompt_tokens, call.completion_tokens, call.tokens_estimated) == (292, 67, False)
    assert split_thinking(call.reply or "").thinking == THOUGHT


@pytest.mark.parametrize(("name", "error"), ERRORS)
def test_an_error_is_understood(chat_server: Servers, name: str, error: dict[str, Any]) -> None:
    server = chat_server(default=raw_json(error["body"], error["status"]), models=RECORDED[name]["models"]["data"])

    async def work() -> None:
        async with Endpoint(server.url, "m") as endpoint:
            await endpoint.transport.post_chat({"model": "m", "messages": []}, 0)

    with pytest.raises(EndpointError) as caught:
        asyncio.run(work())

    assert caught.value.fault == error["fault"]
    assert error["says"] in str(caught.value)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("This model's maximum prompt length is 131072 but the request contains 537812 tokens", Fault.OVERFLOW),
        ("Please reduce the length of the messages or completion", Fault.OVERFLOW),
        ("Input is too long for requested model", Fault.OVERFLOW),
        ("Input length 131393 exceeds the maximum allowed input length of 131040 tokens.", Fault.OVERFLOW),
        ("prompt token count of 200000 exceeds the limit of 128000", Fault.OVERFLOW),
        ("Prompt contains 9000 tokens, too large for model with 8192 maximum context length", Fault.OVERFLOW),
        ("invalid params, context window exceeds limit", Fault.OVERFLOW),
        ("Range of input length should be [1, 30720]", Fault.OVERFLOW),
        ("Input should be a valid list", Fault.REFUSED),
        ("invalid temperature: must be at most 2", Fault.REFUSED),
    ],
)
def test_hosted_models_have_their_own_words_for_a_prompt_that_is_too_long(words: str, fault: Fault) -> None:
    assert fault_of_status(400, words) is fault
