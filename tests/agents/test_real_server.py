"""The client against a real model server: `transformers serve` with a tiny random model made on the spot.

The model writes garbage, which is the point: it must end in a clear error, never in a crash.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_designs import TASK, DictLedger

from netwright.agents.chat import ChatRequest
from netwright.agents.endpoint import Endpoint
from netwright.agents.llm_planner import LlmPlanner
from netwright.agents.probe import Probe
from netwright.agents.profile import Profile, ProfileStore
from netwright.errors import ConfigError, MalformedReply
from netwright.types import Context, Operator

START_SECONDS = 100.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Served:
    url: str
    model: str


def wait_until_healthy(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise AssertionError(f"not healthy after {START_SECONDS} s: {log.read_text()}")


@pytest.fixture(scope="module")
def served(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # `/v1/models` of this server fails without a cache folder.
    cache = tmp_path_factory.mktemp("cache")
    (cache / "hub").mkdir()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    command = [
        *(str(Path(sys.executable).with_name("transformers")), "serve", str(tiny_model)),
        *("--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--default-seed", "0"),
    ]
    log = cache / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until_healthy(server, f"http://127.0.0.1:{port}", log)
            yield Served(f"http://127.0.0.1:{port}", str(tiny_model))
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def test_a_real_server_is_verified_and_answers_with_counted_tokens(served: Served) -> None:
    request = ChatRequest(
        role="planner",
        messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}),
        max_tokens=8,
        temperature=0.7,
        schema={"type": "object"},
    )

    async def talk() -> None:
        async with Endpoint(served.url, served.model) as endpoint:
            await endpoint.verify()
            reply = await endpoint.chat(request, DictLedger())

            assert endpoint.url == f"{served.url}/v1"
            assert 0 < reply.completion_tokens <= 8
            assert reply.prompt_tokens > 8
            assert not reply.tokens_estimated

    asyncio.run(talk())


def test_a_real_server_tells_that_the_model_is_wrong(served: Served) -> None:
    async def talk() -> None:
        async with Endpoint(served.url, "gpt-9") as endpoint:
            await endpoint.verify()

    with pytest.raises(ConfigError, match="Server is pinned to .*tiny-llama.*asked for 'gpt-9'"):
        asyncio.run(talk())


def test_a_check_of_a_real_server_finds_what_it_is_and_takes(served: Served, tmp_path: Path) -> None:
    async def talk() -> Profile:
        store = ProfileStore(tmp_path)
        async with Endpoint(served.url, served.model, concurrency=4, profiles=store) as endpoint:
            await probe_all(endpoint)
            return await endpoint.profile()

    async def probe_all(endpoint: Endpoint) -> None:
        probe = Probe(endpoint, 2048, lambda _: None)
        await probe.run()
        found = {finding.what: finding.found for finding in probe.findings}

        assert found["server"] == "transformers serve"
        assert found["streaming"] == "works"
        assert found["JSON"].startswith("no form is enforced")
        assert "tokens/s" in found["speed"]
        assert found["edits"].startswith("0 of 4 changes made exactly")
        assert not probe.problem

    profile = asyncio.run(talk())

    assert (profile.server, profile.streaming, profile.json_mode) == ("transformers serve", "works", "none")
    assert profile.tokens_per_second and profile.checked_at


def test_the_garbage_of_a_random_model_ends_in_a_malformed_reply(served: Served) -> None:
    ledger = DictLedger()

    async def talk() -> None:
        async with Endpoint(served.url, served.model) as endpoint:
            planner = LlmPlanner(endpoint, ledger, max_tokens=40)
            await planner.plan(Context(task=TASK, operator=Operator.DRAFT, seed=1))

    with pytest.raises(MalformedReply, match="gave no usable planner answer in 3 tries"):
        asyncio.run(talk())

    assert len(ledger.calls) == 3
    assert all(call.reply is not None for call in ledger.calls)
