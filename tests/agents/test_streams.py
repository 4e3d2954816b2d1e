"""Streams of answers as servers really send them: broken off, with errors inside, without an end, with odd usage."""

import asyncio
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from netwright.agents.chat import ChatRequest, Progress, Reply
from netwright.agents.endpoint import Endpoint
from netwright.agents.faults import EndpointError, Fault
from netwright.agents.replies import split_thinking
from netwright.agents.retrying import RetryRule
from netwright.agents.streams import Incoming
from netwright.agents.transport import Timeouts
from netwright.types import LlmCall

Servers = Callable[..., Any]
QUICK = RetryRule(tries=3, wait_seconds=0.01, longest_wait_seconds=0.3)
HELLO = ChatRequest(role="planner", messages=({"role": "user", "content": "Hello"},))


class NoLedger:
    def find(self, key: str) -> LlmCall | None:
        return None

    def record(self, call: LlmCall) -> None:
        """Nothing is kept."""


def ask(url: str, **options: Any) -> Reply:
    async def talk() -> Reply:
        async with Endpoint(url, **{"model": "scripted", "retries": QUICK, **options}) as endpoint:
            return await endpoint.chat(HELLO, NoLedger())

    return asyncio.run(talk())


def usage(prompt: int, completion: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


# --- what is survived -------------------------------------------------------------------------------------------


def test_a_stream_that_breaks_off_is_asked_again_and_whole(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.stream(chat.piece("half an"), done=False, breaks=True), "Hi"])

    assert ask(server.url).text == "Hi"

    assert [body["stream"] for body in server.requests] == [True, False]


def test_a_stream_that_ends_before_the_answer_does_is_no_answer(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server(default=chat.stream(chat.piece("half an"), done=False))

    with pytest.raises(EndpointError, match="its stream ended before the answer did") as caught:
        ask(server.url, retries=RetryRule(tries=1))

    assert caught.value.fault is Fault.BROKEN


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error": {"message": "CUDA out of memory", "code": 500}}\n\n',
        b'event: error\ndata: {"message": "CUDA out of memory"}\n\n',
        b"event: error\ndata: CUDA out of memory\n\n",
    ],
    ids=["error-object", "error-event", "error-text"],
)
def test_an_error_in_the_middle_of_a_stream_is_tried_again(
    chat_server: Servers, chat: ModuleType, event: bytes
) -> None:
    server = chat_server([chat.stream(chat.piece("half an"), event), "Hi"])
    told: list[str] = []

    class Noting(NoLedger):
        def record(self, call: LlmCall) -> None:
            told.append(call.error)

    async def talk() -> str:
        async with Endpoint(server.url, "scripted", retries=QUICK) as endpoint:
            return (await endpoint.chat(HELLO, Noting())).text

    assert asyncio.run(talk()) == "Hi"
    assert "CUDA out of memory" in told[0]


def test_an_overflow_told_in_a_stream_is_an_overflow(chat_server: Servers, chat: ModuleType) -> None:
    error = {
        "error": {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}
    }
    server = chat_server(default=chat.stream(error))

    with pytest.raises(EndpointError) as caught:
        ask(server.url, retries=RetryRule(tries=1))

    assert caught.value.fault is Fault.OVERFLOW


def test_a_stream_without_done_is_complete_by_its_finish_reason(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.stream(chat.piece("Hi"), chat.piece(finish_reason="length"), done=False)])

    reply = ask(server.url)

    assert (reply.text, reply.cut_off) == ("Hi", True)


def test_a_stream_without_a_finish_reason_is_complete_by_done(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.stream(chat.piece("Hi"))])

    assert ask(server.url).text == "Hi"


def test_a_connection_that_stays_open_after_done_is_not_waited_for(chat_server: Servers, chat: ModuleType) -> None:
    whole = f"data: {chat.json.dumps(chat.piece('Hi', 'stop'))}\n\ndata: [DONE]\n\n".encode()
    step = chat.stream(whole, b": ping\n\n", done=False, pause_seconds=5)
    server = chat_server([step])
    began = time.perf_counter()

    assert ask(server.url).text == "Hi"

    assert time.perf_counter() - began < 4


def test_of_repeated_usage_the_last_counts(chat_server: Servers, chat: ModuleType) -> None:
    growing = [{**chat.piece("Hi"), "usage": usage(9, count)} for count in (1, 2, 3)]
    server = chat_server([chat.stream(*growing, chat.piece(finish_reason="stop"))])

    reply = ask(server.url)

    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("HiHiHi", 9, 3)


@pytest.mark.parametrize("empty", [{"usage": None}, {"usage": {}}, {"usage": {"prompt_tokens": None}}, {}])
def test_empty_usage_is_estimated(chat_server: Servers, chat: ModuleType, empty: dict[str, Any]) -> None:
    server = chat_server([chat.stream({**chat.piece("x" * 40, "stop"), **empty}, {"choices": [], **empty})])

    reply = ask(server.url)

    assert reply.tokens_estimated
    assert reply.completion_tokens == 10


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_mixed_into_a_stream_is_kept_apart(chat_server: Servers, chat: ModuleType, name: str) -> None:
    pieces = [
        chat.piece(**{name: "hm"}, role="assistant"),
        chat.piece("", **{name: ", well"}),
        chat.piece("y", **{name: None}),
        chat.piece("es", **{name: ""}),
    ]
    server = chat_server([chat.stream(*pieces, chat.piece(finish_reason="stop"))])

    split = split_thinking(ask(server.url).text)

    assert (split.answer, split.thinking) == ("yes", "hm, well")


def test_a_message_that_the_end_repeats_counts_once(chat_server: Servers, chat: ModuleType) -> None:
    repeated = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    server = chat_server([chat.stream(chat.piece("Hi"), repeated), chat.stream(repeated)])

    assert [ask(server.url).text, ask(server.url).text] == ["Hi", "Hi"]


def test_pings_names_and_carriage_returns_of_events_do_no_harm(chat_server: Servers, chat: ModuleType) -> None:
    first, last = (chat.json.dumps(each).encode() for each in (chat.piece("Hi\u2028there"), chat.piece("", "stop")))
    server = chat_server(
        [
            chat.stream(
                b": ping\r\n\r\n", b"event: message\r\nid: 1\r\ndata:" + first, b"\r\n\r\ndata: " + last + b"\r\n\r\n"
            )
        ]
    )

    assert ask(server.url).text == "Hi\u2028there"


def test_an_event_that_is_no_json_breaks_the_answer_off() -> None:
    incoming = Incoming()
    incoming.feed('data: {"choices": [{"delta": {"content": "a"}}]}')

    with pytest.raises(EndpointError, match="carries '{\"choices\":' where JSON belongs") as caught:
        incoming.feed('data: {"choices": ')

    assert caught.value.fault is Fault.BROKEN


# --- whole or streamed ----------------------------------------------------------------------------------------------


def test_a_server_that_answers_whole_all_the_same_is_not_asked_to_stream_again(chat_server: Servers) -> None:
    server = chat_server(default="Hi", streams=False)

    async def talk() -> list[Reply]:
        async with Endpoint(server.url, "scripted") as endpoint:
            return [await endpoint.chat(HELLO, NoLedger()) for _ in range(2)]

    assert [reply.streamed for reply in asyncio.run(talk())] == [False, False]
    assert [body["stream"] for body in server.requests] == [True, False]
    assert "stream_options" not in server.requests[1]


def test_a_server_that_refuses_to_stream_answers_whole(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.http_error(400, "'stream' is not supported by this deployment"), "Hi", "Hi"])

    async def talk() -> list[str]:
        async with Endpoint(server.url, "scripted", retries=RetryRule(tries=1)) as endpoint:
            return [(await endpoint.chat(HELLO, NoLedger())).text for _ in range(2)]

    assert asyncio.run(talk()) == ["Hi", "Hi"]
    assert [body["stream"] for body in server.requests] == [True, False, False]


def test_a_server_that_only_streams_is_asked_to_stream(chat_server: Servers, chat: ModuleType) -> None:
    def only_streams(body: dict[str, Any]) -> Any:
        return "Hi" if body["stream"] else chat.http_error(400, "This model only support stream mode, enable stream")

    server = chat_server([chat.stream(chat.piece("half"), done=False, breaks=True)], default=only_streams)

    assert ask(server.url).text == "Hi"

    assert [body["stream"] for body in server.requests] == [True, False, True]


def test_a_stream_that_nobody_asked_for_is_read(chat_server: Servers, chat: ModuleType) -> None:
    broken = chat.stream(chat.piece("half"), done=False, breaks=True)
    server = chat_server([broken, chat.stream(chat.piece("Hi", "stop"))])

    assert ask(server.url).text == "Hi"


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_stream_may_take_longer_than_its_first_token(chat_server: Servers, chat: ModuleType) -> None:
    slow = chat.stream(*[chat.piece("x") for _ in range(8)], chat.piece(finish_reason="stop"), pause_seconds=0.08)
    server = chat_server([slow])

    reply = ask(server.url, timeouts=Timeouts(first_seconds=0.4, total_seconds=20), retries=RetryRule(tries=1))

    assert reply.text == "x" * 8
    assert reply.first_seconds < 0.4 < reply.seconds


def test_pings_do_not_put_off_the_first_token(chat_server: Servers, chat: ModuleType) -> None:
    pinging = chat.stream(*[b": ping\n\n" for _ in range(20)], pause_seconds=0.05)
    server = chat_server([pinging])

    with pytest.raises(EndpointError, match="begin within 0.3 s") as caught:
        ask(server.url, timeouts=Timeouts(first_seconds=0.3, total_seconds=20), retries=RetryRule(tries=1))

    assert caught.value.fault is Fault.TIMEOUT


def test_a_stream_that_falls_silent_ends(chat_server: Servers, chat: ModuleType) -> None:
    silent = chat.stream(chat.piece("x"), chat.piece("y"), chat.piece(finish_reason="stop"), pause_seconds=2.0)
    server = chat_server([silent])
    began = time.perf_counter()

    with pytest.raises(EndpointError, match="no answer in time"):
        ask(server.url, timeouts=Timeouts(first_seconds=0.3, total_seconds=20), retries=RetryRule(tries=1))

    assert time.perf_counter() - began < 1.5


def test_a_stream_that_drips_for_ever_ends_at_the_total_time_out(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.stream(*[chat.piece("x") for _ in range(40)], pause_seconds=0.05)])

    with pytest.raises(EndpointError, match="end within 0.6 s"):
        ask(server.url, timeouts=Timeouts(first_seconds=0.3, total_seconds=0.6), retries=RetryRule(tries=1))


def test_whoever_watches_sees_an_answer_grow(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.stream(chat.piece("x" * 40), chat.piece("y" * 40, "stop"))])
    seen: list[Progress] = []

    ask(server.url, on_progress=seen.append)

    assert [(each.role, each.tokens, each.ended) for each in seen] == [
        ("planner", 10, False),
        ("planner", 20, False),
        ("planner", 0, True),
    ]
