"""Where "better" is said of many designs at once, it is said of those alone that survive among all comparisons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwright.cli.forms import Form
from netwright.cli.inspection import print_tree
from netwright.cli.results import print_status
from netwright.config import CampaignConfig
from netwright.evaluator.tasks import load_task
from netwright.memory import ExperimentRecord, Memory
from netwright.report.build import build_report
from netwright.types import Action, Candidate, Operator, Outcome, Scope, Score, Verdict

P_VALUES = (1e-5, 0.03, *[0.5] * 18)
"""The first holds among twenty, the second does not."""
SENTENCE = "better than their rival: 1 of 20 designs compared, at a false discovery rate of 5%"


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path) as memory:
        config = CampaignConfig(task="recall").model_dump(mode="json")
        row = memory.start_campaign("small", load_task("recall").spec, 0, config)
        for node, p_value in enumerate(P_VALUES):
            outcome = Outcome.BETTER if p_value < 0.05 else Outcome.NO_DIFFERENCE
            verdict = Verdict(outcome=outcome, delta_nats=-0.1, p_value=p_value)
            remember(memory, row.id, node, verdict)
        yield memory


def remember(memory: Memory, campaign_id: int, node: int, verdict: Verdict) -> None:
    design = Candidate(source=f"# {node}", scope=Scope.MIXER, title=f"Design {node}", hypothesis="", origin="grammar")
    memory.put_candidate(design)
    record = ExperimentRecord(
        node=node,
        action=Action(index=node, kind="expand", operator=Operator.DRAFT),
        operator=Operator.DRAFT,
        candidate_id=design.id,
        score=Score(value=-1.0, standard_error=0.1, rung=0, seeds=1),
        verdict=verdict,
    )
    memory.remember(campaign_id, record)


def test_the_tree_tells_better_alone_from_better_among_all(told, capfd):
    print_tree(told.home, None, form=Form.TEXT)
    text = capfd.readouterr().out
    print_tree(told.home, None, form=Form.JSON)
    rows = {row["node"]: row for row in json.loads(capfd.readouterr().out)}

    lines = {line.split()[-1]: line for line in text.splitlines() if "Design" in line}
    assert "  better  draft" in lines["0"]
    assert "  better alone, not among all  draft" in lines["1"]
    assert f"{SENTENCE} over all of them (2 by their comparison alone)" in text
    assert [node for node, row in rows.items() if row["better_among_all"]] == [0]
    assert (rows[1]["outcome"], rows[1]["p_value"]) == ("better", 0.03)


def test_the_status_counts_what_holds_among_all(told, capfd):
    print_status(told.home, None, json=False)
    text = capfd.readouterr().out
    print_status(told.home, None, json=True)

    assert SENTENCE in text
    assert json.loads(capfd.readouterr().out)["claims"] == {"better": [0], "better_alone": 2, "compared": 20}


def test_the_report_counts_what_holds_among_all(told):
    section = build_report(told).partition('id="operators"')[2].partition("</section>")[0]

    assert SENTENCE[1:] in section
    assert '<td>draft</td><td class="n">20</td><td class="n">0</td><td class="n">1</td>' in section


def test_the_latest_verdict_of_a_node_is_the_one_that_counts(told):
    promoted = ExperimentRecord(
        node=0,
        action=Action(index=20, kind="promote", parents=(0,), rung=1),
        operator=Operator.DRAFT,
        candidate_id=told.experiments(1)[0].candidate_id,
        score=Score(value=-0.9, standard_error=0.1, rung=1, seeds=1),
        verdict=Verdict(outcome=Outcome.NO_DIFFERENCE, delta_nats=0.0, p_value=0.9),
    )
    told.remember(1, promoted)

    verdicts = told.verdicts(1)

    assert list(verdicts) == list(range(20))
    assert verdicts[0] == promoted.verdict
    assert verdicts[1].p_value == 0.03
