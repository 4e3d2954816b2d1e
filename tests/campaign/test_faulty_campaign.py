"""Whole campaigns through a server of which one reply in five is faulty, of all kinds mixed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from author import Author, average
from chat_server import ChatServer
from faulty_server import FAULTS, STALL_SECONDS, Faulty

from netwright.agents.replies import python_block
from netwright.campaign.running import run_campaign
from netwright.config import CampaignConfig
from netwright.config_file import load_config
from netwright.memory.store import Memory

Servers = Callable[..., ChatServer]


def fates(home: Path, name: str) -> dict[str, str]:
    """What became of each design of a campaign, by its source."""
    with Memory.open(home, create=False, read_only=True) as memory:
        found: dict[str, str] = {}
        for known in memory.experiments(memory.campaign(name).id):
            for attempt in known.attempts:
                found[memory.candidate(attempt.candidate_id).source] = attempt.failure
            if known.candidate is not None:
                found[known.candidate.source] = known.failure or "scored"
    return found


@pytest.mark.timeout(300)
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_campaign_stops_and_no_candidate_is_lost(
    tmp_path: Path, campaign_file: Callable[..., Path], chat_server: Servers, seed: int
) -> None:
    model = Faulty(Author(average, flawed=lambda number: number % 5 == 1), FAULTS, rate=0.2, seed=seed)
    server = chat_server(default=model)
    more = f'[llm]\nurl = "{server.url}"\nmodel = "scripted"\nfirst_timeout = {0.75 * STALL_SECONDS}\n'
    config = load_config(campaign_file(trials=6, more=more), {})

    row, board = run_campaign(tmp_path / "home", config)

    assert row.status == "finished" and board.trained >= 6
    assert len(model.given) >= 0.1 * model.asked
    blocks = [python_block(text, "Mixer") for text in model.spoken]
    known = fates(tmp_path / "home", row.name)
    assert {block.body for block in blocks if block is not None} <= set(known)
    assert all(known.values())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_faults_cost_a_tenth_of_the_time_at_most(tmp_path: Path, chat_server: Servers) -> None:
    """Time lost is time in which a slot has nothing to train, beyond that of a campaign without faults."""

    def idle_share(rate: float) -> float:
        server = chat_server(default=Faulty(Author(average), FAULTS, rate=rate, seed=3))
        settings = {
            "name": f"rate-{rate}",
            "task": "recall",
            "rung_tokens": [30_000, 60_000],
            "workers": 2,
            "budget": {"trials": 12, "minutes": 30},
            "llm": {"url": server.url, "model": "scripted", "first_timeout": 0.75 * STALL_SECONDS},
        }
        _, board = run_campaign(tmp_path / "home", CampaignConfig.model_validate(settings))
        return 1 - board.busy_seconds / (2 * board.elapsed_seconds)

    assert idle_share(0.2) - idle_share(0.0) <= 0.1
