"""Campaigns with a model that netwright serves itself: a real `transformers serve`, of a model that writes garbage."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netwright.campaign.board import Board
from netwright.campaign.running import run_campaign
from netwright.config_file import load_config
from netwright.memory.overview import failures
from netwright.memory.store import Memory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def served(tmp_path: Path, tiny_model: Path) -> Path:
    """The file of a campaign that ends within minutes; its model lies beside it."""
    (tmp_path / "model").symlink_to(tiny_model)
    path = tmp_path / "small.toml"
    path.write_text(
        'name = "small"\ntask = "recall"\nrung_tokens = [8192, 16384]\nworkers = 1\nbaselines = ["gated_convolution"]\n'
        '[budget]\ntrials = 1\nminutes = 3\n[llm]\nurl = "hf:model"\nmax_tokens = 64\nrepairs = 0\n'
    )
    return path


def servers_of(folder: Path) -> list[int]:
    """The processes that have to do with a model in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"serve" in arguments and str(folder / "model").encode() in arguments:
            found.append(int(process.name))
    return found


def wait_until(true: Callable[[], object], seconds: float, campaign: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        assert campaign is None or campaign.poll() is None, "the campaign ended before that"
        time.sleep(0.05)


def test_a_campaign_with_a_model_that_writes_garbage_ends_properly_and_leaves_no_server(
    tmp_path: Path, served: Path, netwright: Any
) -> None:
    done = netwright("run", served, "--home", tmp_path / "home", timeout=500)

    assert done.returncode == 0, done.stderr
    assert "no design could be trained" in done.stdout
    assert f"{tmp_path}/model at http://127.0.0.1:" in done.stderr and "gave its first token after" in done.stderr
    with Memory.open(tmp_path / "home", create=False, read_only=True) as memory:
        row = memory.campaign("small")
        tried = [known for known in memory.experiments(row.id) if known.action and known.action.kind == "expand"]
        assert row.status == "finished"
        assert tried and all(known.stage.startswith("planner: ") for known in tried)
        assert sum(group.count for group in failures(memory, "small")) == len(tried)
    assert servers_of(tmp_path) == []
    assert {path.suffix for path in (tmp_path / "home" / "endpoints").iterdir()} == {".json", ".log"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_server_is_left_when_a_campaign_is_ended(
    tmp_path: Path, served: Path, start: Start, number: signal.Signals, code: int
) -> None:
    campaign = start("run", served, "--home", tmp_path / "home")
    wait_until(lambda: "gave its first token" in (tmp_path / "log").read_text(), 90, campaign)
    assert servers_of(tmp_path)

    campaign.send_signal(number)

    assert campaign.wait(30) == code
    wait_until(lambda: servers_of(tmp_path) == [], 5)


def test_no_server_is_left_when_it_is_not_waited_for(tmp_path: Path, served: Path, start: Start) -> None:
    campaign = start("run", served, "--home", tmp_path / "home")
    wait_until(lambda: servers_of(tmp_path), 60, campaign)

    campaign.send_signal(signal.SIGINT)

    assert campaign.wait(30) == 130
    wait_until(lambda: servers_of(tmp_path) == [], 5)
    assert "netwright resume small" in (tmp_path / "log").read_text()


def test_a_parked_model_has_no_process_while_trainings_run_and_answers_after_them(tmp_path: Path, served: Path) -> None:
    training, asked = list[bool](), list[bool]()

    async def watch(board: Board, done: asyncio.Event) -> None:
        while not done.is_set():
            trains, lives = bool(board.slots), bool(servers_of(tmp_path))
            if trains == bool(board.slots):
                (training if trains else asked).append(lives)
            await asyncio.sleep(0.02)

    config = load_config(served, {"llm.park": True})

    row, board = run_campaign(tmp_path / "home", config, watch=watch)

    assert row.status == "finished" and board.completion_tokens > 0
    assert len(training) > 5 and not any(training)
    assert any(asked)
    # To be seen to work, and then for questions: the baseline was trained in between.
    assert next((tmp_path / "home" / "endpoints").glob("*.log")).read_text().count("--- ") >= 2


def test_a_model_that_cannot_be_loaded_is_told_of_in_the_words_of_its_server(
    tmp_path: Path, served: Path, netwright: Any
) -> None:
    (tmp_path / "model").unlink()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')

    done = netwright("run", served, "--home", tmp_path / "home", timeout=500)

    assert done.returncode == 1
    assert f"`transformers serve` for {tmp_path}/model ended with exit code 1; the end of its log" in done.stderr
    assert "tokenizer" in done.stderr and "Traceback" not in done.stderr
    assert servers_of(tmp_path) == []


def test_a_check_serves_the_model_itself_and_remembers_it_for_campaigns(
    tmp_path: Path, tiny_model: Path, netwright: Any
) -> None:
    done = netwright("endpoint", "check", f"hf:{tiny_model}", "--quick", "--home", tmp_path / "home", timeout=500)

    assert done.returncode == 0, done.stderr
    for words in ("transformers serve", "streaming          works", "usable", "remembered in"):
        assert words in done.stdout
    assert f"loading {tiny_model}, " in done.stderr
