"""`memory draw` on a real, finished campaign, and the drawing in its report."""

from __future__ import annotations

from xml.etree import ElementTree

from netwright.cli.app import run
from netwright.memory.query import top
from netwright.memory.store import Memory
from netwright.report.build import build_report


def test_a_design_that_a_campaign_proposed_is_drawn(finished, tmp_path, capfd):
    with Memory.open(finished, read_only=True) as memory:
        best = next(row for row in top(memory) if not row.is_baseline)
        page = build_report(memory)
    path = tmp_path / "best.svg"

    assert run(["memory", "draw", best.short, "--out", str(path), "--home", str(finished)]) == 0
    capfd.readouterr()
    assert run(["memory", "draw", best.short, "--home", str(finished)]) == 0

    assert capfd.readouterr().out == path.read_text()
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert page.count('<svg xmlns="http://www.w3.org/2000/svg" class="arch"') == 1


def test_what_cannot_be_drawn_says_why(finished, tmp_path, capfd):
    with Memory.open(finished, read_only=True) as memory:
        baseline = next(row for row in top(memory) if row.is_baseline)
        design = next(row for row in top(memory) if not row.is_baseline)

    for which, words in (
        ([baseline.short], "only designs that a campaign proposed are traced"),
        (["ffff"], "no candidate has an id"),
    ):
        assert run(["memory", "draw", *which, "--home", str(finished)]) == 2
        assert words in " ".join(capfd.readouterr().err.split())
    assert run(["memory", "draw", design.short, "--out", str(tmp_path), "--home", str(finished)]) == 1
    assert "choose another file with --out" in " ".join(capfd.readouterr().err.split())
