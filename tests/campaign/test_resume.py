"""Whatever kills a campaign, and whenever: nothing finished is lost, repeated or half there."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from netwright.evaluator.tasks import load_task
from netwright.memory import schema
from netwright.memory.store import Memory

Netwright = Callable[..., "subprocess.CompletedProcess[str]"]
FEW = {"rung_tokens": (2048, 4096), "baselines": ["softmax_attention", "gated_convolution"]}
ALL: dict[str, Any] = {}
KEY = bytes(range(32))


def facts(home: Path) -> dict[str, Any]:
    """What a campaign came to, without anything that a clock decides."""
    with Memory.open(home, create=False, read_only=True) as memory:
        campaign = memory.campaign("small")
        experiments = memory.experiments(campaign.id)
        return {
            "status": campaign.status,
            "actions": [record.action for record in memory.actions(campaign.id)],
            "experiments": sorted(
                (known.action.index if known.action else known.node, known.candidate_id, known.score, known.failure)
                for known in experiments
            ),
            "trials": sorted(
                (trial.candidate_id, trial.rung, trial.seed, trial.status.value, trial.loss_nats)
                for trial in memory.trials()
            ),
        }


def trial_count(home: Path) -> int:
    with Memory.open(home, create=False, read_only=True) as memory:
        return len(memory.trials())


def wait_for_progress(child: subprocess.Popen[bytes], home: Path, seconds: float) -> bool:
    """True once another trial is remembered; False when the campaign ended before."""
    before, deadline = trial_count(home), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if child.poll() is not None:
            return False
        if trial_count(home) > before:
            return True
        time.sleep(0.02)
    raise AssertionError(f"no progress in {seconds} s")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("times", "trials", "rivals"),
    [(3, 4, FEW), pytest.param(10, 12, FEW, marks=pytest.mark.slow), pytest.param(10, 8, ALL, marks=pytest.mark.slow)],
    ids=["few", "many", "all baselines"],
)
def test_a_campaign_killed_again_and_again_comes_to_the_same_experiments_as_an_undisturbed_one(
    times: int,
    trials: int,
    rivals: dict[str, Any],
    tmp_path: Path,
    campaign_file: Callable[..., Path],
    start: Callable[..., subprocess.Popen[bytes]],
    netwright: Any,
) -> None:
    calm, stormy = tmp_path / "calm", tmp_path / "stormy"
    for home in (calm, stormy):
        Memory.open(home, evaluation_key=KEY).close()
    file = campaign_file(trials=trials, **rivals, top="seed = 3")
    undisturbed = netwright("run", file, "--home", calm, "--json", timeout=200)
    assert undisturbed.returncode == 0, undisturbed.stderr
    chance = random.Random(1)
    kills = 0

    while kills < times:
        child = start("run", file, "--home", stormy)
        if not wait_for_progress(child, stormy, 60):
            break
        time.sleep(chance.uniform(0.0, 1.2))
        child.send_signal(signal.SIGKILL)
        child.wait()
        kills += 1
    last = netwright("run", file, "--home", stormy, "--json", timeout=200)

    assert kills == times
    assert last.returncode == 0, last.stderr
    assert facts(stormy) == facts(calm)
    assert json.loads(last.stdout)["status"] == "finished"


def test_ctrl_c_stops_cleanly_and_resume_goes_on(
    tmp_path: Path, campaign_file: Callable[..., Path], start: Callable[..., subprocess.Popen[bytes]], netwright: Any
) -> None:
    home = tmp_path / "home"
    Memory.open(home, evaluation_key=KEY).close()
    child = start("run", campaign_file(trials=2, **FEW), "--home", home)
    assert wait_for_progress(child, home, 60)

    child.send_signal(signal.SIGINT)
    child.wait(timeout=20)

    assert child.returncode == 130
    assert "netwright resume small" in (tmp_path / "log").read_text()
    with Memory.open(home, create=False, read_only=True) as memory:
        assert memory.campaign("small").status == "interrupted"
    done = netwright("resume", "--home", home, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"


def test_no_process_outlives_a_killed_campaign(
    tmp_path: Path, campaign_file: Callable[..., Path], start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    home = tmp_path / "home"
    Memory.open(home, evaluation_key=KEY).close()
    child = start("run", campaign_file(trials=2, **FEW), "--home", home)
    assert wait_for_progress(child, home, 60)
    family = descendants(child.pid)
    assert len(family) >= 2

    child.send_signal(signal.SIGKILL)
    child.wait()

    deadline = time.monotonic() + 5
    while any(map(is_running, family)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in family if is_running(pid)] == []


def test_a_second_process_on_the_same_campaign_is_told_so(
    tmp_path: Path, campaign_file: Callable[..., Path], start: Callable[..., subprocess.Popen[bytes]], netwright: Any
) -> None:
    home = tmp_path / "home"
    Memory.open(home, evaluation_key=KEY).close()
    file = campaign_file(trials=2, **FEW)
    first = start("run", file, "--home", home)
    assert wait_for_progress(first, home, 60)

    second = netwright("run", file, "--home", home)

    assert second.returncode == 1
    assert "being run by another process" in second.stderr
    assert os.waitpid(first.pid, os.WNOHANG) == (0, 0)


def is_running(pid: int) -> bool:
    """Whether the process lives: not every init reaps what is left to it."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def descendants(pid: int) -> list[int]:
    """All children of a process, and theirs."""
    found: list[int] = []
    for parent in [pid, *found]:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found + [grandchild for child in found for grandchild in descendants(child)]


def test_a_campaign_that_an_older_netwright_began_is_resumed(tmp_path: Path, netwright: Netwright) -> None:
    home = tmp_path / "home"
    home.mkdir()
    spec = load_task("recall", data=None, rung_tokens=(2048, 4096)).spec
    config = {"name": "small", "task": "recall", "data": None, "rung_tokens": [2048, 4096], "seed": 0, "workers": 2}
    config |= {"in_flight": 4, "accept_no_sandbox": False, "budget": {"trials": 1, "minutes": 0.05}}
    config |= {"search": {"policy": "tree"}, "llm": {"url": None}}
    row = {"name": "small", "task_id": spec.id, "task": spec.model_dump_json(exclude={"causal"}), "seed": 0, "note": ""}
    row |= {"config": json.dumps(config), "status": "interrupted", "started_at": "2025", "elapsed_seconds": 0.0}
    with sqlite3.connect(home / "memory.db") as connection:
        schema.MIGRATIONS[0](Database(connection))
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO meta VALUES ('evaluation_key', ?), ('created_at', '2025')", (KEY.hex(),))
        Database(connection)["tasks"].insert({"id": spec.id, "name": spec.name})
        Database(connection)["campaigns"].insert(row)
    connection.close()

    done = netwright("resume", "--home", home, "--json")

    assert done.returncode == 0, done.stderr
    with Memory.open(home, create=False, read_only=True) as memory:
        known = memory.campaign("small")
        assert known.status == "finished" and known.config["sandbox"]["kind"] == "process"
        assert memory.evaluation_key == KEY
        jobs = [trial.jobs for trial in memory.trials()]
        assert len(jobs) >= 14 and all(jobs)
