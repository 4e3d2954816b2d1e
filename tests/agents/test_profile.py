"""What an endpoint refused once is remembered between processes, and relearned where it proves wrong."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netwright.agents.chat import ChatRequest, plain_schema
from netwright.agents.endpoint import Endpoint
from netwright.agents.faults import EndpointError
from netwright.agents.profile import Profile, ProfileStore
from netwright.agents.replies import Plan
from netwright.agents.retrying import RetryRule
from netwright.types import LlmCall

Servers = Callable[..., Any]
HELLO = ChatRequest(
    role="critic",
    messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}),
    temperature=0.5,
    schema={"type": "object"},
)


class NoLedger:
    def find(self, key: str) -> LlmCall | None:
        return None

    def record(self, call: LlmCall) -> None:
        """Nothing is kept."""


def ask(url: str, folder: Path, times: int = 1, **options: Any) -> Profile:
    """Ask as a new process would, and return what is then known."""

    async def talk() -> Profile:
        settings = {"model": "scripted", "retries": RetryRule(tries=3, wait_seconds=0.01), **options}
        async with Endpoint(url, profiles=ProfileStore(folder), **settings) as endpoint:
            for _ in range(times):
                await endpoint.chat(HELLO, NoLedger())
            return await endpoint.profile()

    return asyncio.run(talk())


def form(body: dict[str, Any]) -> str | None:
    asked: dict[str, Any] = body.get("response_format", {})
    return asked.get("type")


def test_what_was_refused_once_is_not_sent_by_the_next_process(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    def picky(body: dict[str, Any]) -> Any:
        for name in ("max_tokens", "temperature", "stream_options", "response_format"):
            if name in body:
                return chat.http_error(422, f"Unsupported field in the request: {name!r}")
        system = body["messages"][0]["role"] == "system"
        return chat.http_error(400, "System role not supported") if system else "Hi"

    server = chat_server(default=picky, prefix="")
    ask(server.root, tmp_path)
    refused = len(server.requests)
    ask(server.root, tmp_path)

    assert refused > 5
    assert len(server.requests) == refused + 1
    assert server.paths.count("/v1/chat/completions") == 1
    last = server.requests[-1]
    assert sorted(last) == ["max_completion_tokens", "messages", "model", "stream"]


def test_a_profile_holds_no_secret(chat_server: Servers, chat: ModuleType, tmp_path: Path) -> None:
    server = chat_server([chat.http_error(400, "temperature is refused for key sk-very-secret")], default="Hi")
    url = server.url.replace("http://", "http://user:hidden-password@") + "?token=query-secret"

    ask(url, tmp_path, api_key="sk-very-secret", headers={"X-Team": "team-token"})

    (path,) = tmp_path.iterdir()
    told = path.read_text() + path.name
    assert '"refused": [\n    "temperature"\n  ]' in told
    assert not any(word in told for word in ("secret", "hidden", "team-token", "user"))


def test_every_url_and_model_has_a_profile_of_its_own(tmp_path: Path) -> None:
    store = ProfileStore(tmp_path)
    store.keep(Profile(url="http://h:1/v1", model="a/b", streaming="only"))

    assert store.find("http://h:1/v1", "a/b").streaming == "only"
    assert store.find("http://h:1/v1", "a").streaming is None
    assert store.find("http://h:2/v1", "a/b").streaming is None


def test_a_profile_that_cannot_be_read_is_learned_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = ProfileStore(tmp_path)
    store.path("http://h/v1", "m").write_text('{"url": 3')

    with caplog.at_level(logging.WARNING):
        assert store.find("http://h/v1", "m") == Profile(url="http://h/v1", model="m")

    assert "learned anew" in caplog.text


def test_a_profile_that_cannot_be_written_stops_nothing(chat_server: Servers, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    assert ask(chat_server(["Hi"]).url, tmp_path / "file").streaming == "works"


def test_what_a_newer_version_wrote_is_ignored(tmp_path: Path) -> None:
    store = ProfileStore(tmp_path)
    store.path("http://h/v1", "m").write_text('{"url": "http://h/v1", "model": "m", "flux": 3, "streaming": "only"}')

    assert store.find("http://h/v1", "m").streaming == "only"


# --- what proves wrong is relearned -----------------------------------------------------------------------------


def test_a_url_form_that_no_longer_works_is_found_again(chat_server: Servers, tmp_path: Path) -> None:
    server = chat_server(["Hi"])
    ProfileStore(tmp_path).keep(Profile(url=server.url, model="scripted", root=server.root))

    assert ask(server.root, tmp_path).root == server.url


def test_a_token_field_that_is_refused_now_is_swapped_back(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    server = chat_server([chat.http_error(422, "Unexpected keys: {'max_completion_tokens'}")], default="Hi")
    ProfileStore(tmp_path).keep(Profile(url=server.url, model="scripted", token_field="max_completion_tokens"))

    assert ask(server.url, tmp_path).token_field == "max_tokens"
    assert "max_tokens" in server.requests[-1]


def test_a_server_that_streams_no_longer_is_asked_whole(chat_server: Servers, tmp_path: Path) -> None:
    server = chat_server(["Hi"], streams=False)
    ProfileStore(tmp_path).keep(Profile(url=server.url, model="scripted", streaming="works"))

    assert ask(server.url, tmp_path).streaming == "refused"


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_json_is_asked_for_in_the_strictest_way_that_is_taken(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    def lm_studio_turned_round(body: dict[str, Any]) -> Any:
        refusal = chat.http_error(400, "'response_format.type' must be 'json_object' or 'text'")
        return refusal if form(body) == "json_schema" else "Hi"

    server = chat_server(default=lm_studio_turned_round)

    assert ask(server.url, tmp_path, times=2).json_mode == "json_object"
    assert [form(body) for body in server.requests] == ["json_schema", "json_object", "json_object"]


def test_an_engine_that_falls_over_a_schema_is_asked_for_less(
    chat_server: Servers, chat: ModuleType, tmp_path: Path
) -> None:
    def llama_cpp_python(body: dict[str, Any]) -> Any:
        return chat.http_error(500, "Internal Server Error") if form(body) == "json_schema" else "Hi"

    server = chat_server(default=llama_cpp_python)

    assert ask(server.url, tmp_path, times=2).json_mode == "json_object"
    assert [form(body) for body in server.requests] == ["json_schema", None, "json_object"]


def test_a_profile_that_says_none_sends_no_form(chat_server: Servers, tmp_path: Path) -> None:
    server = chat_server(["Hi"])
    ProfileStore(tmp_path).keep(Profile(url=server.url, model="scripted", json_mode="none"))

    ask(server.url, tmp_path)

    assert form(server.requests[0]) is None


def test_a_schema_is_put_in_words_that_every_server_knows() -> None:
    schema = plain_schema(Plan)

    assert schema["required"] == ["title", "hypothesis"]
    assert schema["properties"]["title"] == {"type": "string"}
    assert set(schema) == {"type", "properties", "required"}


def test_a_prompt_that_was_too_long_teaches_how_long_one_may_be(
    tmp_path: Path, chat: ModuleType, chat_server: Callable[..., Any]
) -> None:
    server = chat_server(default=chat.http_error(400, "This model's maximum context length is 8192 tokens."))

    with pytest.raises(EndpointError, match="8192"):
        ask(server.url, tmp_path)

    assert ProfileStore(tmp_path).find(server.url, "scripted").context_tokens == 8192
