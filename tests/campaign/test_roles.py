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
from netwright.campaign.glance import glance
from netwright.campaign.roles import make_agents, warm_up
from netwright.cli.scene import one_line, writing_now
from netwright.config import CampaignConfig
from netwright.config_file import load_config
from netwright.errors import ConfigError
from netwright.evaluator.tasks import load_task
from netwright.llm_config import RoleConfig
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
        for endpoint in agents.endpoints:
            async with endpoint:
                await warm_up(endpoint, board)

    asyncio.run(talk())


def test_a_model_that_is_loading_is_waited_for_and_told_of(
    tmp_path: Path, board: Board, chat: ModuleType, chat_server: Callable[..., Any]
) -> None:
    told: list[str] = []

    def loading(_: Any) -> Any:
        told.append(one_line(glance(board)))
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
            seen.append(writing_now(glance(board)))
            await asyncio.sleep(0.01)

    async def talk() -> None:
        config = CampaignConfig.model_validate({"llm": {"url": server.url, "model": "scripted"}}).llm
        (endpoint,) = make_agents(config, NoLedger(), {}, tmp_path, board).endpoints
        watching = asyncio.create_task(watch())
        await endpoint.verify()
        watching.cancel()
        await endpoint.aclose()

    asyncio.run(talk())

    assert any(words.startswith("probe 50 tokens, ") for words in seen)
    assert writing_now(glance(board)) == ""


# --- whom each role asks -----------------------------------------------------------------------------------------


def of(llm: dict[str, Any], role: Any) -> RoleConfig:
    return CampaignConfig.model_validate({"llm": {"url": "http://a/v1", **llm}}).llm.of(role)


def test_a_role_takes_from_the_whole_what_it_does_not_say_itself() -> None:
    llm = {"model": "big", "headers": {"X-Team": "TEAM"}, "temperature": 1.0, "critic": {"model": "small"}}

    assert of(llm, "planner") == RoleConfig(
        url="http://a/v1",
        model="big",
        api_key_env="NETWRIGHT_API_KEY",
        headers={"X-Team": "TEAM"},
        temperature=1.0,
        max_tokens=6000,
    )
    assert of(llm, "critic") == RoleConfig(
        url="http://a/v1", model="small", api_key_env="NETWRIGHT_API_KEY", headers={"X-Team": "TEAM"}
    )


def test_another_server_gets_neither_key_nor_headers_of_the_first() -> None:
    llm = {"model": "big", "api_key_env": "MY_KEY", "headers": {"X-Team": "TEAM"}, "critic": {"url": "http://b/v1"}}

    assert of(llm, "critic") == RoleConfig(url="http://b/v1")


def test_a_model_that_is_served_is_named_by_its_url_and_each_role_may_have_its_own(
    tmp_path: Path, board: Board
) -> None:
    llm = {"url": "hf:/models/big", "serve_options": ["--compile"], "critic": {"url": "hf:/models/small"}}
    config = CampaignConfig.model_validate({"llm": llm}).llm

    endpoints = make_agents(config, NoLedger(), {"NETWRIGHT_API_KEY": "sk-very-secret"}, tmp_path, board).endpoints

    assert [asyncio.run(endpoint.model_name()) for endpoint in endpoints] == ["/models/big", "/models/small"]
    assert all(endpoint.url.startswith("http://127.0.0.1:") for endpoint in endpoints)
    assert (config.of("planner").serve_options, config.of("critic").serve_options) == (("--compile",), None)
    assert config.served == ["hf:/models/big", "hf:/models/small"]
    for endpoint in endpoints:
        asyncio.run(endpoint.aclose())


def test_the_path_of_a_model_is_sought_beside_the_campaign_file(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    path = tmp_path / "campaign.toml"
    path.write_text('[llm]\nurl = "hf:big"\n[llm.critic]\nurl = "hf:./small"\n[[llm.models]]\nurl = "hf:./drawn"\n')

    assert load_config(path, {}).llm.served == [f"hf:{tmp_path}/{name}" for name in ("big", "drawn", "small")]


def test_roles_that_ask_the_same_share_an_endpoint_and_others_ask_their_own(
    tmp_path: Path, board: Board, chat_server: Callable[..., Any]
) -> None:
    server, other = chat_server(default="yes"), chat_server(default="yes")
    llm: dict[str, Any] = {"url": server.url, "model": "scripted", "headers": {"X-Team": "TEAM_TOKEN"}}
    environment = {"NETWRIGHT_API_KEY": "sk-very-secret", "TEAM_TOKEN": "team-token"}

    begin(tmp_path, board, {**llm, "critic": {"temperature": 0.1}}, environment)
    begin(tmp_path, board, {**llm, "critic": {"url": other.url}}, environment)

    assert (len(server.requests), len(other.requests)) == (2, 1)
    assert server.headers[0]["x-team"] == "team-token"
    assert "secret" not in str(other.headers) and "team-token" not in str(other.headers)


@pytest.mark.parametrize(
    ("llm", "words"),
    [
        ({"api_key_env": "MY_KEY"}, "environment variable 'MY_KEY', which is not set"),
        ({"headers": {"X-Team": "TEAM_TOKEN"}}, "header 'X-Team': expected the name of an environment variable"),
    ],
)
def test_a_variable_that_is_not_set_is_named(tmp_path: Path, board: Board, llm: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        begin(tmp_path, board, {"url": "http://127.0.0.1:9/v1", "model": "m", **llm})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('api_key_env = "sk-very-secret"', "llm.api_key_env: expected the name of an environment variable"),
        ('headers = { "X-Team" = "very-secret" }', "llm.headers.X-Team: expected the name of an environment variable"),
        ('url = "http://me:very-secret@h/v1"', "llm.url: expected a URL without user name and password"),
        ('critic = { url = "http://h/v1" }', "give .llm. one"),
        ("critic = { flux = 1 }", "unknown key 'llm.critic.flux'; known here: url, model"),
        ('url = "hf:/m"\nmodel = "x"', "hf:/m names the model, and 'x' another: leave --model"),
        ('url = "hf:/m"\ncritic = { model = "x" }', "hf:/m names the model, and 'x' another: leave --model"),
        (
            'url = "hf:/m"\nheaders = { "X-Team" = "TEAM" }',
            "hf:/m is served by netwright itself, which takes no headers",
        ),
        ('url = "http://h"\nserve_options = ["--compile"]', "serve_options are for a model that netwright serves"),
        ('url = "http://h"\npark = true', "park is for models that netwright serves"),
        ('url = "hf:/m"\nserve_options = ["--port=80"]', "llm.serve_options: --port is chosen by netwright"),
        ('url = "hf:/m"\nserve_options = ["auto"]', "llm.serve_options: expected options of `transformers serve`"),
    ],
)
def test_a_secret_in_a_campaign_file_is_refused_and_not_repeated(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(f"[llm]\n{line}\n")

    with pytest.raises(ConfigError, match=words) as caught:
        load_config(path, {})

    assert "very-secret" not in str(caught.value)


def test_flags_win_over_the_file_and_the_file_over_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text('[llm]\nurl = "http://file/v1"\n')
    environment = {"llm.url": "http://environment/v1", "llm.model": "of-the-environment"}

    written, flagged = load_config(path, {}, environment), load_config(path, {"llm.url": "http://flag/v1"}, environment)
    bare = load_config(None, {"llm.url": None}, environment)

    assert [each.llm.url for each in (written, flagged, bare)] == [
        "http://file/v1",
        "http://flag/v1",
        "http://environment/v1",
    ]
    assert bare.llm.model == "of-the-environment"
    assert load_config(None, {}, {"llm.url": None, "llm.model": ""}).llm.url is None
