"""The live view: the same for whoever runs a campaign and for whoever watches it from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from netwright.campaign.board import Board, Slot
from netwright.campaign.glance import Glance, glance
from netwright.campaign.opening import exclusive
from netwright.cli.app import run
from netwright.cli.scene import Observer, Scene, draw, gpu_use
from netwright.config import CampaignConfig
from netwright.evaluator.tasks import load_task
from netwright.types import Score

LONG = "Gated short convolution sharing heads with a gated running average, gated skip"


@pytest.fixture
def state() -> Glance:
    config = CampaignConfig.model_validate({"task": "recall", "name": "small", "workers": 2, "budget": {"trials": 40}})
    board = Board(name="small", task=load_task("recall").spec, config=config, phase="searching", trained=10)
    board.slots[0] = Slot(LONG, "score", time.monotonic(), step=7, steps=10, loss_nats=2.5)
    board.failures["gate: causality"] = 2
    board.prompt_tokens, board.completion_tokens, board.llm_cost = 12_000, 800, 0.5
    for value, baseline in ((-2.0, False), (-2.2, True)):
        board.leads("a" * 64, LONG, Score(value=value, standard_error=0.1, rung=0, seeds=1), baseline=baseline)
    return glance(board)


def lines(state: Glance, scene: Scene, width: int = 80) -> list[str]:
    screen = Console(width=width)
    with screen.capture() as drawn:
        screen.print(draw(state, scene))
    return drawn.get().splitlines()


def test_it_shows_slots_leaders_failures_and_costs_within_80_columns(state: Glance) -> None:
    drawn = lines(state, Scene(losses=[2.5, 2.6, 2.0], gpus=["87% busy, 1200 of 80000 MiB"]))

    text = "\n".join(drawn)
    assert max(map(len, drawn)) <= 80
    assert "10/40 trained" in text and " 70%" in text and "free" in text
    assert "best design   2.0000 ± 0.1000" in text and "best baseline 2.2000" in text
    assert "best so far   ▇█▁  2.5000 to 2.0000" not in text  # it never goes up again
    assert "best so far   ██▁  2.5000 to 2.0000" in text
    assert "2 gate: causality" in text and "12,000 read" in text and "87% busy" in text


def test_the_tree_has_the_best_designs_and_what_they_came_from(finished: Path, state: Glance) -> None:
    scene = Observer(finished).look("small")

    drawn = "\n".join(lines(state, scene, width=200))
    best = min((row for row in scene.lineage if row.node >= 0 and row.rung == 1), key=lambda row: row.loss_nats or 0.0)
    assert f"{best.short}  {best.loss_nats:.4f} r1" in drawn
    assert "designs grown, the best 3 of them" in drawn


def test_a_memory_that_is_not_there_yet_stops_no_view(tmp_path: Path, state: Glance) -> None:
    assert Observer(tmp_path).look("small") == Scene()


def test_a_gpu_says_how_busy_it_is_and_a_broken_driver_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for script, told in (("echo '87, 1200, 80000'", ["87% busy, 1200 of 80000 MiB"]), ("exit 9", [])):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        assert gpu_use() == told


def test_watching_from_outside_follows_a_campaign_to_its_end(finished: Path, state: Glance) -> None:
    path = finished / "live" / "small.json"
    path.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "netwright", "watch", "--home", str(finished)]
    with exclusive(finished, "small"):
        path.write_text(state.model_copy(update={"at": time.time()}).model_dump_json())
        watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert watching.stderr is not None and "searching; 10/40 trained" in watching.stderr.readline()
        path.unlink()
        assert watching.poll() is None
    said, _ = watching.communicate(timeout=30)

    assert watching.returncode == 0
    assert said.startswith("small  finished")


def test_a_campaign_that_does_not_run_is_shown_as_it_stands(finished: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", "--home", str(finished)]) == 0
    assert capfd.readouterr().out.startswith("small  finished")
