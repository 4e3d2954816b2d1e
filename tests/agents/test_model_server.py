"""A server of our own: started when asked, told of when it fails, and never left behind. The processes are real."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import stub_model_server

from netwright.agents.chat import ChatRequest
from netwright.agents.endpoint import Endpoint
from netwright.agents.faults import EndpointError, Fault
from netwright.agents.model_server import ModelServer
from netwright.agents.profile import ProfileStore
from netwright.agents.retrying import RetryRule
from netwright.errors import StoreError
from netwright.types import LlmCall

STUB = (sys.executable, stub_model_server.__file__)
HELLO = ChatRequest(role="planner", messages=({"role": "user", "content": "Hello"},))
GONE_SECONDS = 5.0


class NoLedger:
    def find(self, key: str) -> LlmCall | None:
        return None

    def record(self, call: LlmCall) -> None:
        """Nothing is kept."""


def make(folder: Path, *options: str, model: str = "/models/tiny", **more: Any) -> ModelServer:
    settings: dict[str, Any] = {"device": "cpu", "environment": os.environ, "serve": STUB, "options": options, **more}
    return ModelServer(model, log=folder / "endpoints" / "tiny.log", **settings)


def said(server: ModelServer) -> list[dict[str, Any]]:
    """What the stub wrote in JSON, over all its starts."""
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]


def pids(server: ModelServer) -> list[int]:
    return [pid for line in said(server) for pid in line.get("pids", [])]


def alive(processes: Iterable[int]) -> list[int]:
    """Those that still run; a zombie that nobody buried yet does not."""
    return [pid for pid in processes if _state(pid) not in ("", "Z")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def wait_until(true: Callable[[], object], seconds: float = GONE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def listens(server: ModelServer) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(server.url.rpartition(":")[2].partition("/")[0]))) == 0


# --- its life ----------------------------------------------------------------------------------------------------


def test_it_starts_when_it_is_asked_and_goes_with_the_endpoint_and_all_its_processes(tmp_path: Path) -> None:
    server = make(tmp_path, "--dtype", "bfloat16")

    async def talk() -> None:
        profiles = ProfileStore(tmp_path)
        async with Endpoint(server.url, server.model, server=server, profiles=profiles) as endpoint:
            assert not server.running and not listens(server)
            reply = await endpoint.chat(HELLO, NoLedger())
            assert reply.text == "yes"
            assert len(alive(pids(server))) == 2

    asyncio.run(talk())

    assert alive(pids(server)) == [] and not server.running
    port = server.url.removeprefix("http://127.0.0.1:").removesuffix("/v1")
    ours = ["--host", "127.0.0.1", "--port", port, "--device", "cpu"]
    assert said(server)[0]["arguments"] == ["/models/tiny", *ours, "--dtype", "bfloat16"]
    assert said(server)[1] == {"asked": "/models/tiny", "authorization": "Bearer none"}
    # The port is another every time: what is known of the model is not kept by it.
    (profile,) = tmp_path.glob("*.json")
    assert json.loads(profile.read_text())["url"] == "hf:/models/tiny"


def test_a_server_that_died_is_started_again_by_the_next_question_at_the_same_place(tmp_path: Path) -> None:
    server = make(tmp_path)

    async def talk() -> None:
        async with Endpoint(server.url, server.model, server=server) as endpoint:
            await endpoint.verify()
            os.kill(pids(server)[0], signal.SIGKILL)
            await asyncio.to_thread(wait_until, lambda: not server.running)
            assert alive(pids(server)) == []
            reply = await endpoint.chat(HELLO, NoLedger())
            assert reply.text == "yes"

    asyncio.run(talk())

    assert len(pids(server)) == 4 and alive(pids(server)) == []


def test_questions_at_once_start_one_server(tmp_path: Path) -> None:
    server = make(tmp_path)

    async def talk() -> None:
        await asyncio.gather(*(server.up() for _ in range(3)))
        await server.aclose()

    asyncio.run(talk())

    assert len(pids(server)) == 2


def test_a_start_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    server = make(tmp_path, "--hang")

    async def talk() -> None:
        starting = asyncio.create_task(server.up())
        await asyncio.to_thread(wait_until, lambda: server.log.exists() and pids(server))
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        assert alive(pids(server)) == []
        await server.aclose()

    asyncio.run(talk())


CAMPAIGN = """
import asyncio, signal, sys
from pathlib import Path
from netwright.agents.model_server import ModelServer

async def main():
    server = ModelServer("/models/tiny", device="cpu", log=Path(sys.argv[1]), environment={}, serve=sys.argv[2:])
    await server.up()
    print("up", flush=True)
    await asyncio.sleep(600)

# Whoever runs the tests in the background of a shell has SIGINT ignored, and what they start inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_does_not_outlive_a_process_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "tiny.log"
    command = [sys.executable, "-c", CAMPAIGN, str(log), *STUB]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as campaign:
        assert campaign.stdout is not None and campaign.stdout.readline() == "up\n"
        (line,) = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
        assert len(alive(line["pids"])) == 2

        campaign.send_signal(number)

    wait_until(lambda: alive(line["pids"]) == [])


def test_it_does_not_outlive_its_keeper(tmp_path: Path) -> None:
    server = make(tmp_path)

    async def talk() -> None:
        await server.up()
        served, _ = pids(server)
        keeper = int(Path(f"/proc/{served}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(keeper, signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: alive([served]) == [])
        assert not server.running
        await server.aclose()

    asyncio.run(talk())
    for pid in alive(pids(server)):
        os.kill(pid, signal.SIGKILL)


# --- when it fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--fail", "ended with exit code 1"),
        ("--kill", "was killed, which is what happens where memory is short"),
        ("--hang", "did not answer within 0.7 s (raise start_timeout if it was on its way)"),
    ],
)
def test_a_server_that_does_not_come_up_is_told_of_with_the_end_of_its_log(
    tmp_path: Path, option: str, words: str
) -> None:
    server = make(tmp_path, option, start_seconds=0.7 if option == "--hang" else 20.0)

    async def talk() -> None:
        async with Endpoint(server.url, server.model, server=server) as endpoint:
            await endpoint.verify()

    with pytest.raises(EndpointError) as caught:
        asyncio.run(talk())

    assert caught.value.fault is Fault.UNREACHABLE
    assert f"`transformers serve` for /models/tiny {words}; the end of its log {server.log}:\n" in str(caught.value)
    assert "50%" not in str(caught.value)
    if option == "--fail":
        assert str(caught.value).endswith("\nLoading weights: 100%\nCUDA out of memory, or the like")
    assert alive(pids(server)) == []


def test_a_campaign_that_runs_tries_to_start_it_more_than_once(tmp_path: Path) -> None:
    server = make(tmp_path, "--fail")
    rule = RetryRule(tries=2, wait_seconds=0.01)

    async def talk() -> None:
        async with Endpoint(server.url, server.model, server=server, retries=rule) as endpoint:
            await endpoint.chat(HELLO, NoLedger())

    with pytest.raises(EndpointError, match="ended with exit code 1"):
        asyncio.run(talk())

    assert len(pids(server)) == 4


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "endpoints").write_text("a file where a folder belongs")
    server = make(tmp_path)

    async def talk() -> None:
        try:
            await server.up()
        finally:
            await server.aclose()

    with pytest.raises(StoreError, match="cannot write .*tiny.log"):
        asyncio.run(talk())


def test_the_start_is_told_of_until_it_is_over(tmp_path: Path) -> None:
    told: list[str] = []
    server = make(tmp_path, "--hang", tell=told.append)

    async def talk() -> None:
        starting = asyncio.create_task(server.up())
        await asyncio.to_thread(wait_until, lambda: told and told[-1].endswith("Loading weights: 100%"))
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await server.aclose()

    asyncio.run(talk())

    assert told[0].startswith("loading /models/tiny, ")
    assert re.fullmatch(r"loading /models/tiny, \d+ s so far: Loading weights: 100%", told[-2])
    assert told[-1] == ""


# --- what it is told ---------------------------------------------------------------------------------------------


SECRETS = {"NETWRIGHT_API_KEY": "s", "OPENAI_API_KEY": "s", "AWS_SECRET_ACCESS_KEY": "s", "HF_TOKEN": "s"}


@pytest.mark.parametrize(
    ("model", "passes"),
    [("/models/tiny", {"HF_HUB_OFFLINE"}), ("some/model", {"HF_TOKEN", "https_proxy", "HF_HUB_OFFLINE"})],
)
def test_the_server_sees_no_secret_but_that_for_the_hub_where_it_asks_the_hub(
    tmp_path: Path, model: str, passes: set[str]
) -> None:
    plain = {"PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment = {**plain, **SECRETS, "https_proxy": "http://me:secret@proxy"}
    server = make(tmp_path, model=model, environment=environment)

    async def talk() -> None:
        await server.up()
        await server.aclose()

    asyncio.run(talk())

    seen = set(said(server)[0]["environment"])
    assert seen & {*SECRETS, "https_proxy", "HF_HUB_OFFLINE"} == passes
    assert {"PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"} <= seen


NAMED = """
import asyncio, os, sys
from pathlib import Path
from netwright.agents.model_server import ModelServer

async def main():
    server = ModelServer("some/model", device="cpu", log=Path(sys.argv[1]), environment=os.environ, serve=sys.argv[2:])
    await server.up()
    await server.aclose()

asyncio.run(main())
"""


def test_where_the_hub_is_silent_the_server_is_told_to_make_do_with_the_cache(tmp_path: Path) -> None:
    log = tmp_path / "model.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}

    command = [sys.executable, "-c", NAMED, str(log), *STUB]
    subprocess.run(command, env={**kept, "HF_ENDPOINT": "http://127.0.0.1:9"}, check=True, timeout=60)

    (line,) = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    assert line["environment"]["HF_HUB_OFFLINE"] == "1"
