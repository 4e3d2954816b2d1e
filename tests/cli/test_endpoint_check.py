"""`netwright endpoint check` as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from netwright.cli.app import run


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def netwright(capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def call(*arguments: object) -> Done:
        code = run([*map(str, arguments)])
        return Done(code, *capfd.readouterr())

    return call


def answers(body: dict[str, Any]) -> str:
    if "response_format" in body:
        return '{"colour": "teal", "waves": 3}'
    return "KESTREL-7319" if "password" in body["messages"][-1]["content"] else "ready"


def test_a_check_prints_one_table_and_says_what_it_costs_and_where_it_is_remembered(
    tmp_path: Path, chat_server: Callable[..., Any], netwright: Any
) -> None:
    server = chat_server(default=answers)

    done = netwright("endpoint", "check", server.root, "--quick", "--home", tmp_path)

    assert done.returncode == 0
    assert "about 300 tokens in prompts and at most " in done.stderr
    for words in ("json_schema is enforced", "taken and read", "tokens/s", "usable", "remembered in"):
        assert words in done.stdout
    (profile,) = (tmp_path / "endpoints").iterdir()
    assert str(profile) in done.stdout


def test_a_check_as_json_names_everything_and_sends_key_and_headers_that_it_never_shows(
    tmp_path: Path, chat_server: Callable[..., Any], netwright: Any, monkeypatch: Any
) -> None:
    server = chat_server(default=answers)
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    monkeypatch.setenv("TEAM_TOKEN", "team-token")
    options = ("--quick", "--key-env", "MY_KEY", "--header", "X-Team=TEAM_TOKEN", "--json")

    done = netwright("endpoint", "check", server.url, *options, "--home", tmp_path)

    document = json.loads(done.stdout)
    assert (done.returncode, document["usable"], document["model"]) == (0, True, "scripted")
    assert {"what": "system role", "found": "taken and read", "remedy": "", "vital": False} in document["findings"]
    assert document["profile"]["json_mode"] == "json_schema"
    assert server.headers[0]["authorization"] == "Bearer sk-very-secret"
    assert server.headers[0]["x-team"] == "team-token"
    told = done.stdout + done.stderr + Path(document["profile_path"]).read_text()
    assert "very-secret" not in told and "team-token" not in told


def test_an_endpoint_that_is_not_there_is_a_sentence_and_exit_code_2(tmp_path: Path, netwright: Any) -> None:
    done = netwright("endpoint", "check", "http://127.0.0.1:9", "--model", "m", "--home", tmp_path)

    assert done.returncode == 2
    assert "not usable" in done.stdout and "start the" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_header_without_its_variable_is_named_and_what_was_given_is_not_repeated(
    tmp_path: Path, netwright: Any
) -> None:
    done = netwright("endpoint", "check", "http://127.0.0.1:9", "--header", "X-Team=abc-secret", "--home", tmp_path)

    assert done.returncode == 2
    assert "header 'X-Team': expected the name of an environment variable" in done.stderr
    assert "abc-secret" not in done.stderr


def test_without_a_url_it_says_how_to_give_one(tmp_path: Path, netwright: Any) -> None:
    done = netwright("endpoint", "check", "--home", tmp_path)

    assert done.returncode == 2
    assert "NETWRIGHT_LLM_URL" in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_a_check_cleanly(tmp_path: Path, chat_server: Callable[..., Any], chat: ModuleType) -> None:
    server = chat_server([answers], default=chat.stall(60))
    command = [sys.executable, "-m", "netwright", "endpoint", "check", server.url, "--home", str(tmp_path)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        deadline = time.monotonic() + 60
        while len(server.requests) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)

    assert running.returncode == 130
    assert "interrupted" in err and "Traceback" not in err
    assert "server" in out
