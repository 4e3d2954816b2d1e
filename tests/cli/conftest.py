"""One small finished campaign that the read-only commands look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from netwright.campaign.running import run_campaign
from netwright.config import load_config

SMALL = """
name = "small"
task = "recall"
rung_tokens = [8192, 16384]
[budget]
trials = 4
minutes = 30
"""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.toml").write_text(SMALL)
    row, board = run_campaign(folder / "home", load_config(folder / "small.toml", {}))
    assert row.status == "finished" and board.trained >= 4
    return folder / "home"
