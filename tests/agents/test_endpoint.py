"""The client against a real HTTP server that misbehaves in every way seen in the wild."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from netwright.agents.chat import ChatRequest, Reply
from netwright.agents.endpoint import Endpoint
from netwright.agents.faults import EndpointError, Fault
from netwright.agents.replies import split_thinking
from netwright.agents.retrying import RetryRule
from netwright.agents.transport import Timeouts, candidate_urls
from netwright.errors import ConfigError, ProviderError
from netwright.types import LlmCall

Servers = Callable[..., Any]
QUICK = RetryRule(tries=3, wait_seconds=0.01, longest_wait_seconds=0.3)
HELLO = ChatRequest(role="planner", messages=({"role": "user", "content": "Hello"},), temperature=0.5)
WITH_SYSTEM = ChatRequest(
    role="planner",
    messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}),
    temperature=0.5,
    schema={"type": "object"},
)


class DictLedger:
    """A real ledger, in memory; keeps every call in order."""

    def __init__(self) -> None:
        self.calls: list[LlmCall] = []

    def find(self, key: str) -> LlmCall | None:
        return next((call for call in reversed(self.calls) if call.key == key and call.reply), None)

    def record(self, call: LlmCall) -> None:
        self.calls.append(call)


def ask(url: str, request: ChatRequest = HELLO, ledger: DictLedger | None = None, **options: Any) -> Reply:
    async def talk() -> Reply:
        async with Endpoint(url, **{"model": "scripted", "retries": QUICK, **options}) as endpoint:
            return await endpoint.chat(request, ledger if ledger is not None else DictLedger())

    return asyncio.run(talk())


def verify(url: str, **options: Any) -> None:
    async def talk() -> None:
        async with Endpoint(url, **{"model": "scripted", "retries": QUICK, **options}) as endpoint:
            await endpoint.verify()

    asyncio.run(talk())


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- good answers and what they cost -------------------------------------------------------------------------


def test_a_good_answer_comes_with_its_tokens(chat_server: Servers) -> None:
    server = chat_server(["Hi"])

    reply = ask(server.url)

    assert (reply.text, reply.cut_off, reply.model) == ("Hi", False, "scripted")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.tokens_estimated) == (100, 50, False)
    assert server.requests[0]["stream"] is True
    assert reply.streamed


def test_tokens_are_estimated_and_flagged_when_the_server_does_not_count(
    chat_server: Servers, chat: ModuleType
) -> None:
    server = chat_server([chat.completion("x" * 400, usage=False)])

    reply = ask(server.url)

    assert reply.tokens_estimated
    assert reply.completion_tokens == 100


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own_is_kept_as_thinking(chat_server: Servers, chat: ModuleType, name: str) -> None:
    server = chat_server([chat.completion("yes", reasoning="hm", reasoning_field=name)])

    split = split_thinking(ask(server.url).text)

    assert (split.answer, split.thinking) == ("yes", "hm")


def test_an_answer_in_the_reasoning_field_alone_is_not_lost(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.completion(None, reasoning='{"title": "x"}')])

    assert split_thinking(ask(server.url).text).thinking == '{"title": "x"}'


def test_a_cut_off_answer_says_so(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.completion("half an ans", finish_reason="length")])

    assert ask(server.url).cut_off


def test_thinking_that_ate_the_whole_token_limit_is_a_cut_off_answer(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.completion("", finish_reason="length", reasoning="hm, well")])

    reply = ask(server.url)

    assert reply.cut_off
    assert split_thinking(reply.text).unfinished_thinking


# --- faults that pass ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        lambda chat: chat.http_error(500, "out of luck"),
        lambda chat: chat.http_error(503, "Loading model"),
        lambda chat: chat.http_error(429, "slow down"),
        lambda chat: chat.drop(),
        lambda chat: chat.html(),
        lambda chat: chat.raw_json({"error": {"message": "worker died"}}),
        lambda chat: chat.raw_json({"choices": []}),
        lambda chat: chat.raw_json({"choices": None}),
        lambda chat: chat.raw_json({}),
        lambda chat: chat.raw_json([1, 2]),
        lambda chat: chat.Step(b"{truncated", 200),
        lambda chat: chat.Step(b"", 200),
        lambda chat: chat.completion(""),
        lambda chat: chat.completion(None),
    ],
    ids=[
        *("500", "503", "429", "dropped", "html", "error-in-200", "no-choices", "null-choices"),
        *("empty-object", "list", "broken-json", "no-body", "empty-content", "null-content"),
    ],
)
def test_a_passing_fault_is_tried_again_and_noted(
    chat_server: Servers, chat: ModuleType, fault: Callable[[ModuleType], Any]
) -> None:
    server = chat_server([fault(chat), "Hi"])
    ledger = DictLedger()

    assert ask(server.url, ledger=ledger, model=None).text == "Hi"

    assert len(server.requests) == 2
    assert [call.status for call in ledger.calls] == ["ok"]
    assert ledger.calls[0].error.startswith("try 1: endpoint http://127.0.0.1")


def test_tries_are_bounded_by_one_retry_layer(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server(default=chat.http_error(500, "out of luck"))
    ledger = DictLedger()

    with pytest.raises(EndpointError, match="HTTP 500: out of luck") as caught:
        ask(server.url, ledger=ledger)

    assert caught.value.fault is Fault.SERVER_ERROR
    assert len(server.requests) == QUICK.tries
    assert [(call.status, call.reply) for call in ledger.calls] == [("server error", None)]


def test_retry_after_is_obeyed_and_capped(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.http_error(429, "slow down", {"retry-after": "3600"}), "Hi"])
    began = time.perf_counter()

    ask(server.url)

    assert 0.3 <= time.perf_counter() - began < 2.0


def test_a_stall_ends_at_the_total_time_out(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.stall(30), "Hi"])

    reply = ask(server.url, timeouts=Timeouts(first_seconds=20, total_seconds=0.4))

    assert reply.text == "Hi"


def test_a_stall_ends_at_the_first_byte_time_out(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server(default=chat.stall(30))

    with pytest.raises(EndpointError, match="no answer in time") as caught:
        ask(server.url, timeouts=Timeouts(first_seconds=0.2), retries=RetryRule(tries=1))

    assert caught.value.fault is Fault.TIMEOUT


# --- faults that stay --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "fault"),
    [
        (400, "this makes no sense", Fault.REFUSED),
        (401, "Incorrect API key provided", Fault.KEY_REFUSED),
        (403, "forbidden", Fault.KEY_REFUSED),
        (404, "The model `x` does not exist", Fault.UNKNOWN_MODEL),
        (422, "unprocessable", Fault.REFUSED),
        (400, "This model's maximum context length is 4096 tokens. max_tokens is 6000", Fault.OVERFLOW),
        (500, "the request exceeds the available context size, try increasing it", Fault.OVERFLOW),
    ],
)
def test_a_fault_that_would_only_repeat_is_not_tried_again(
    chat_server: Servers, chat: ModuleType, status: int, message: str, fault: Fault
) -> None:
    server = chat_server(default=chat.http_error(status, message))

    with pytest.raises(EndpointError) as caught:
        ask(server.url)

    assert caught.value.fault is fault
    assert message in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("refusal", "gone", "instead"),
    [
        ("'max_tokens' is not supported. Use 'max_completion_tokens' instead.", "max_tokens", "max_completion_tokens"),
        ("'temperature' does not support 0.5 with this model", "temperature", None),
        ("Unsupported fields in the request: {'stream_options'}", "stream_options", None),
    ],
)
def test_a_refused_parameter_is_dropped_once_and_for_all(
    chat_server: Servers, chat: ModuleType, refusal: str, gone: str, instead: str | None
) -> None:
    server = chat_server([chat.http_error(400, refusal), "Hi", "Hi again"])

    async def talk() -> None:
        async with Endpoint(server.url, "scripted", retries=RetryRule(tries=1)) as endpoint:
            for tag in ("1", "2"):
                await endpoint.chat(ChatRequest(**{**vars(WITH_SYSTEM), "tag": tag}), DictLedger())

    asyncio.run(talk())

    assert [gone in body for body in server.requests] == [True, False, False]
    if instead:
        assert server.requests[2][instead] == WITH_SYSTEM.max_tokens


def test_a_parameter_named_only_by_its_place_is_dropped(chat_server: Servers, chat: ModuleType) -> None:
    body = {"detail": [{"loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}]}
    server = chat_server([chat.raw_json(body, 422), "Hi"])

    assert ask(server.url).text == "Hi"


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "System role not supported"), (500, "Conversation roles must alternate user/assistant/user")],
)
def test_a_refused_system_role_is_folded_into_the_question(
    chat_server: Servers, chat: ModuleType, status: int, message: str
) -> None:
    server = chat_server([chat.http_error(status, message), "Hi"])

    assert ask(server.url, WITH_SYSTEM, retries=RetryRule(tries=1)).text == "Hi"

    assert server.requests[1]["messages"] == [{"role": "user", "content": "Be brief.\n\nHello"}]


def test_a_prompt_that_was_cut_silently_is_noticed(
    chat_server: Servers, chat: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    server = chat_server(["Hi"])
    long = ChatRequest(role="planner", messages=({"role": "user", "content": "word " * 4000},))

    with caplog.at_level(logging.WARNING):
        ask(server.url, long)

    assert "cut prompts silently" in caplog.text


# --- the URL -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "tried"),
    [
        ("http://h:1", ("http://h:1/v1", "http://h:1")),
        ("h:1/", ("http://h:1/v1", "http://h:1")),
        ("http://h/v1/", ("http://h/v1", "http://h")),
        ("http://h/api", ("http://h/api", "http://h/api/v1")),
        ("http://h/v1/chat/completions", ("http://h/v1", "http://h")),
    ],
)
def test_a_url_is_tried_with_and_without_v1(given: str, tried: tuple[str, ...]) -> None:
    assert candidate_urls(given) == tried


@pytest.mark.parametrize("prefix", ["/v1", ""])
@pytest.mark.parametrize("web_page", [False, True])
def test_the_form_of_the_url_that_works_is_found_and_remembered(
    chat_server: Servers, prefix: str, web_page: bool
) -> None:
    server = chat_server(["a", "b"], prefix=prefix, web_page=web_page)

    async def talk() -> str:
        async with Endpoint(server.root, "scripted", retries=RetryRule(tries=1)) as endpoint:
            for tag in ("1", "2"):
                await endpoint.chat(ChatRequest(**{**vars(HELLO), "tag": tag}), DictLedger())
            return endpoint.url

    assert asyncio.run(talk()) == server.url
    assert len(server.paths) == (2 if prefix else 3)


def test_a_200_that_says_unexpected_endpoint_is_another_wrong_address(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.raw_json({"error": "Unexpected endpoint or method. (POST /v1)"}), "Hi"])

    with pytest.raises(EndpointError) as caught:
        ask(server.url, retries=RetryRule(tries=1))

    assert caught.value.fault is Fault.NOT_CHAT
    assert server.paths == ["/v1/chat/completions", "/chat/completions"]


def test_a_text_that_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected the URL of an endpoint"):
        Endpoint("ftp://example")


# --- before a campaign ---------------------------------------------------------------------------------------------


def test_verify_asks_for_one_token(chat_server: Servers) -> None:
    server = chat_server([""])

    verify(server.url)

    assert server.requests[0]["max_tokens"] == 1


def test_verify_says_at_once_that_nobody_listens() -> None:
    port = closed_port()
    began = time.perf_counter()

    with pytest.raises(ProviderError, match=f"127.0.0.1:{port}.*connection failed.*start the server"):
        verify(f"http://127.0.0.1:{port}", retries=RetryRule(tries=4, wait_seconds=30))

    assert time.perf_counter() - began < 10, "nobody waits for a server that isn't there"


def test_verify_names_the_models_there_are(chat_server: Servers) -> None:
    server = chat_server(models=["qwen", "llama"], known_models_only=True)

    with pytest.raises(ConfigError, match="asked for 'gpt'; it offers llama, qwen"):
        verify(server.url, model="gpt")


def test_verify_tells_a_refused_key_without_showing_it(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server(default=chat.http_error(401, "Incorrect API key provided: sk-very-secret"))

    with pytest.raises(ConfigError, match=r"HTTP 401: .*\*\*\*; check the API key") as caught:
        verify(server.url, api_key="sk-very-secret")

    assert "very-secret" not in str(caught.value)
    assert server.headers[0]["authorization"] == "Bearer sk-very-secret"


@pytest.mark.parametrize("page", [True, False])
def test_verify_tells_that_something_else_lives_there(chat_server: Servers, page: bool) -> None:
    server = chat_server(prefix="/elsewhere", web_page=page)

    with pytest.raises(ConfigError, match=r"OpenAI-compatible API.*tried http.* and http"):
        verify(server.root)


def test_verify_shows_json_that_is_no_chat_completion(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server(default=chat.raw_json({"status": "fine"}))

    with pytest.raises(ProviderError, match='no chat completion: \'{"status": "fine"}\''):
        verify(server.url)


def test_the_only_model_is_taken(chat_server: Servers) -> None:
    server = chat_server(["Hi"], models=["only"])

    assert ask(server.root, model=None).model == "only"


@pytest.mark.parametrize(
    ("models", "words"), [(["b", "a"], "offers 2 models; choose one .*: a, b"), (None, "does not list its models")]
)
def test_without_a_name_and_with_a_choice_the_user_is_asked(
    chat_server: Servers, models: list[str] | None, words: str
) -> None:
    server = chat_server(models=models)

    with pytest.raises(ConfigError, match=words):
        ask(server.url, model=None)


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_an_answer_is_never_paid_for_twice(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.completion("half", finish_reason="length")])
    ledger = DictLedger()

    first, second = ask(server.url, ledger=ledger), ask(server.url, ledger=ledger)

    assert len(server.requests) == 1
    assert second.replayed
    assert (second.text, second.cut_off) == (first.text, first.cut_off) == ("half", True)


def test_a_recorded_failure_is_asked_again(chat_server: Servers, chat: ModuleType) -> None:
    server = chat_server([chat.http_error(400, "no"), "Hi"])
    ledger = DictLedger()
    with pytest.raises(EndpointError):
        ask(server.url, ledger=ledger)

    assert ask(server.url, ledger=ledger).text == "Hi"


def test_requests_with_other_tags_are_other_requests() -> None:
    assert HELLO.key("m") == ChatRequest(**vars(HELLO)).key("m")
    assert HELLO.key("m") != HELLO.key("n")
    assert HELLO.key("m") != ChatRequest(**{**vars(HELLO), "tag": "1"}).key("m")


def test_no_secret_reaches_ledger_log_or_reply(
    chat_server: Servers, chat: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    server = chat_server(
        [chat.http_error(500, "key sk-very-secret broke; X-Team: team-token"), "your key is sk-very-secret"]
    )
    ledger = DictLedger()

    with caplog.at_level(logging.DEBUG):
        reply = ask(server.url, ledger=ledger, api_key="sk-very-secret", headers={"X-Team": "team-token"})

    assert server.headers[0]["x-team"] == "team-token"
    told = caplog.text + reply.text + "".join(call.model_dump_json() for call in ledger.calls)
    assert "very-secret" not in told
    assert "team-token" not in told


# --- the surroundings ------------------------------------------------------------------------------------------------


def test_no_more_requests_run_at_once_than_allowed(chat_server: Servers, chat: ModuleType) -> None:
    def slowly(_: Any) -> Any:
        time.sleep(0.03)
        return "Hi"

    server = chat_server(default=slowly)

    async def talk() -> None:
        async with Endpoint(server.url, "scripted", concurrency=2) as endpoint:
            requests = [ChatRequest(**{**vars(HELLO), "tag": str(index)}) for index in range(6)]
            await asyncio.gather(*(endpoint.chat(request, DictLedger()) for request in requests))

    asyncio.run(talk())

    assert server.most_at_once == 2


def test_proxies_and_openai_variables_of_the_shell_do_not_leak_in(
    chat_server: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "HTTP_PROXY": f"http://127.0.0.1:{closed_port()}",
        "OPENAI_API_KEY": "sk-of-the-user",
        "OPENAI_BASE_URL": "http://127.0.0.1:1",
        "OPENAI_ORG_ID": "org-of-the-user",
    }.items():
        monkeypatch.setenv(name, value)
    server = chat_server(["Hi"])

    assert ask(server.url).text == "Hi"
    assert "of-the-user" not in str(server.headers)


def test_an_endpoint_that_nobody_closed_leaves_no_connection_open(chat_server: Servers) -> None:
    server = chat_server(["Hi"])
    endpoint = Endpoint(server.url, "scripted")

    asyncio.run(endpoint.chat(HELLO, DictLedger()))

    assert server.headers[0]["connection"] == "close"


def test_one_endpoint_serves_one_event_loop_after_another(chat_server: Servers) -> None:
    server = chat_server(default="Hi")
    endpoint = Endpoint(server.url, "scripted")

    async def talk(tag: str) -> str:
        try:
            return (await endpoint.chat(ChatRequest(**{**vars(HELLO), "tag": tag}), DictLedger())).text
        finally:
            await endpoint.aclose()

    assert [asyncio.run(talk("1")), asyncio.run(talk("2"))] == ["Hi", "Hi"]
