"""A campaign whose search policy is the user's own: it runs, and a broken policy costs nothing but a sentence."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

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
SMALL = 'baselines = ["gated_convolution"]\nworkers = 1\nin_flight = 1'


def test_a_broken_policy_ends_the_campaign_with_a_sentence_and_once_mended_it_goes_on(
    campaign_file: Callable[..., Path], netwright: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    home, own = tmp_path / "home", tmp_path / "mine.py"
    file = campaign_file(trials=3, top=SMALL, more='[search]\npolicy = "mine.py"')
    own.write_text(SOUND.format(fault="return expansion(index, Operator.REFINE, 99)"))

    stopped = netwright("run", file, "--home", home)

    assert stopped.returncode == 2
    assert "Traceback" not in stopped.stderr
    assert f"policy file {own} raised ValueError in ask(2): expand(2) returned parent 99, which is no" in stopped.stderr
    with Memory.open(home, create=False, read_only=True) as memory:
        row = memory.campaign("small")
        assert row.status == "interrupted" and "parent 99" in row.note
        before = memory.experiments(row.id)
    assert [known.action.index for known in before if known.action] == [0, 1]

    own.write_text(SOUND.format(fault="pass"))
    done = netwright("resume", "--home", home)

    assert done.returncode == 0, done.stderr
    with Memory.open(home, create=False, read_only=True) as memory:
        row = memory.campaign("small")
        after = memory.experiments(row.id)
        assert row.status == "finished"
    assert after[: len(before)] == before
    assert sum(known.action is not None and known.action.kind == "expand" for known in after) >= 3
