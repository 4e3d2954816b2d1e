"""A campaign whose search policy is the user's own: it runs, and a broken policy costs nothing but a sentence."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.memory.store import Memory

SOUND = """
from netwright.search.basic import BasicPolicy, draft, expansion
from netwright.types import Operator


class Newest(BasicPolicy):
    def expand(self, index, rng, sketch):
        if index == 2:
            {fault}
        alive = [node.id for node in self.state.in_order if node.alive]
        return expansion(index, Operator.REFINE, alive[-1])


POLICY = Newest
"""
SMALL = "workers = 1\nin_flight = 1"


@pytest.mark.slow
def test_a_broken_policy_ends_the_campaign_with_a_sentence_and_once_mended_it_goes_on(
    campaign_file: Callable[..., Path], netwright: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    home, own = tmp_path / "home", tmp_path / "mine.py"
    file = campaign_file(trials=3, baselines=["gated_convolution"], top=SMALL, more='[search]\npolicy = "mine.py"')
    own.write_text(SOUND.format(fault="return expansion(index, Operator.REFINE, 99)"))

    stopped = netwright("run", file, "--home", home)

    assert stopped.returncode == 2
    assert "Traceback" not in stopped.stderr
    assert f"policy file {own} raised ValueError in ask(2): expand(2) returned parent 99, which is no" in stopped.stderr
    with Memory.open(home, create=False, read_only=True) as memory:
        row = memory.campaign("small")
        asked, trained = memory.actions(row.id), memory.trials()
    assert row.status == "interrupted" and "parent 99" in row.note
    assert [record.action.index for record in asked] == [0, 1] and trained

    own.write_text(SOUND.format(fault="pass"))
    done = netwright("resume", "--home", home)

    assert done.returncode == 0, done.stderr
    with Memory.open(home, create=False, read_only=True) as memory:
        assert memory.campaign("small").status == "finished"
        assert memory.actions(row.id)[:2] == asked
        assert memory.trials()[: len(trained)] == trained
        designs = [known for known in memory.experiments(row.id) if known.node >= 0]
    assert len({known.node for known in designs}) >= 3
