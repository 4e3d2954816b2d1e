"""The best design of every kind, as the page tells it."""

from __future__ import annotations

import re

import pytest

from netwright.agents.genotype import Attention, Convolution, Genotype, Layer
from netwright.memory.query import top
from netwright.report.build import build_report
from netwright.report.front import costs_of
from netwright.report.kinds import kinds

ATTENTION = Genotype(even=Layer(body=Attention())).text()
HYBRID = Genotype(even=Layer(body=Convolution()), odd=Layer(body=Attention())).text()


@pytest.fixture
def tried(start):
    """Two attentions, a hybrid and a design that the grammar did not make, by title with their losses at rung 0."""
    teller = start()
    designs = (
        ("plain", ATTENTION, 1.5, 1e6),
        ("better", ATTENTION, 1.4, 2e6),
        ("mixed", HYBRID, 1.6, 1e6),
        ("told", None, 1.3, 2e6),
    )
    for number, (title, genotype, loss, flops) in enumerate(designs):
        candidate = teller.candidate(title, "grammar" if genotype else "llm", number, genotype=genotype)
        teller.trial(candidate, loss, flops_per_token=flops)
        teller.remember(
            node=number,
            action={"index": number, "kind": "expand", "operator": "draft"},
            operator="draft",
            candidate_id=candidate.id,
            score={"value": -loss, "standard_error": 0.01, "rung": 0, "seeds": 1},
        )
    return teller


def kinds_of(teller):
    rows = top(teller.memory, campaign=teller.campaign.name, limit=None)
    candidates = {row.candidate_id: teller.memory.candidate(row.candidate_id) for row in rows}
    first = {row.candidate_id: row.loss_nats for row in rows}
    return kinds(rows, candidates, first, costs_of(teller.memory, teller.campaign.task.id, rows))


def test_a_kind_is_a_family_and_a_half_of_the_designs_by_cost_and_the_best_kind_comes_first(tried):
    found = kinds_of(tried)

    assert found.axes == ("family", "FLOPs per token")
    assert [(kind.row.title, *kind.places) for kind in found.kinds] == [
        ("told", "–", "above 1.00 M"),
        ("better", "attention", "above 1.00 M"),
        ("plain", "attention", "at most 1.00 M"),
        ("mixed", "attention and convolution", "at most 1.00 M"),
    ]


def test_a_cost_that_is_not_known_of_most_tells_no_kinds_apart(tried):
    with tried.memory.connection.write() as conn:
        conn.execute("UPDATE trials SET flops_per_token = NULL WHERE loss_nats > 1.35")

    found = kinds_of(tried)

    assert found.axes == ("family",)
    assert [(kind.row.title, kind.designs) for kind in found.kinds] == [("told", 1), ("better", 2), ("mixed", 1)]


def test_the_page_names_the_best_of_every_kind(tried):
    section = build_report(tried.memory).partition('id="kinds"')[2].partition("</section>")[0]

    assert re.findall(r"<td>(\w+) <code>", section) == ["told", "better", "plain", "mixed"]


def test_where_there_is_one_kind_only_the_page_says_nothing_of_kinds(start):
    teller = start()
    candidate = teller.candidate("alone", "llm", 1)
    teller.trial(candidate, 1.4)
    score = {"value": -1.4, "standard_error": 0.01, "rung": 0, "seeds": 1}
    teller.remember(node=-1, operator="baseline", candidate_id=candidate.id, score=score)

    assert 'id="kinds"' not in build_report(teller.memory)
