from __future__ import annotations

import os
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from netwright.campaign.confirming import FIRST_FRESH_SEED, confirm_candidates
from netwright.config import CampaignConfig
from netwright.evaluator.baselines import CORE, baseline, rivals_of
from netwright.evaluator.tasks import load_task
from netwright.memory.records import Opening
from netwright.report import words
from netwright.report.build import build_report
from netwright.types import SWEEP_SEEDS, Outcome, Split

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """What a browser would see: the elements, their attributes, the text; tags must close properly."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def test_the_page_stands_alone_without_script_or_request(memory, told):
    page = Page(build_report(memory))

    assert page.open == []
    assert not page.tags() & {"script", "iframe", "object", "embed", "link", "img", "base", "form"}
    for _, attributes in page.elements:
        assert not set(attributes) & {"src", "href", "srcset", "action", "style"}
        assert not any(name.startswith("on") for name in attributes)
    style = page.text[: page.text.index("netwright · campaign report")]
    assert "url(" not in style
    assert "@import" not in style


def test_every_design_and_every_section_is_there(memory, told):
    page = Page(build_report(memory))

    for experiment in memory.experiments(told.campaign.id):
        if experiment.candidate is not None:
            assert experiment.candidate.title in page.text
    for heading in ("Outcome", "Confirmed on the locked", "Leaderboard", "Best so far", "Training curves"):
        assert heading in page.text
    for heading in ("The best design", "Lineage", "What failed", "Lessons", "Go on", "How it was run"):
        assert heading in page.text
    best = next(row for row in memory.connection.rows("SELECT * FROM leaderboard") if not row["is_baseline"])
    assert f"netwright memory show {best['short']}" in page.text
    assert memory.candidate(best["candidate_id"]).source in page.text
    drawn = ("Best loss so far", "Training loss", "Designs by loss", "How bits per byte", "Lineage of all")
    pictures = [attributes["aria-label"] for tag, attributes in page.elements if tag == "svg"]
    assert all(any(label.startswith(each) for label in pictures) for each in drawn)
    if "NETWRIGHT_REPORT_TO" in os.environ:
        Path(os.environ["NETWRIGHT_REPORT_TO"]).write_text(build_report(memory))


HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;\'"--><!-- {{ 7*7 }} ]]>'


def test_text_of_candidates_is_shown_and_never_obeyed(memory, start):
    teller = start(HOSTILE, summary=HOSTILE)
    known = teller.candidate(HOSTILE, HOSTILE, 1, hypothesis=HOSTILE, source=f"# {HOSTILE}\nGATE = 1\n")
    other = teller.candidate(HOSTILE, "baseline", 2, hypothesis=HOSTILE)
    for each in (known, other):
        teller.trial(each, 1.4, last_output=HOSTILE, metrics={HOSTILE: 0.5})
    score = {"value": -1.4, "standard_error": 0.01, "rung": 0, "seeds": 1}
    teller.remember(node=-1, operator="baseline", candidate_id=other.id, score=score)
    verdict = {"outcome": "better", "changed": HOSTILE, "words": HOSTILE, "lesson": HOSTILE}
    expand = {"kind": "expand", "operator": "refine", "parents": (-1,)}
    teller.remember(
        node=0,
        action={"index": 0, **expand},
        operator="refine",
        parents=(-1,),
        parent_ids=(other.id,),
        candidate_id=known.id,
        score=score,
        verdict=verdict,
    )
    failed = teller.candidate(HOSTILE, "grammar", 3)
    teller.trial(failed, None, last_output=HOSTILE)
    failure = {"stage": HOSTILE, "failure": HOSTILE, "candidate_id": failed.id}
    teller.remember(node=1, action={"index": 1, **expand}, operator="refine", parents=(-1,), **failure)
    memory.update_campaign(teller.campaign.id, note=HOSTILE, status="failed")

    html = build_report(memory)

    page = Page(html)
    assert page.open == []
    assert not page.tags() & {"script", "img"}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text.count(HOSTILE) >= 10
    assert "49" not in page.text[page.text.index("Outcome") : page.text.index("How it was run")].replace("0.49", "")


def test_a_campaign_without_any_result_has_a_page(memory, start):
    start()

    page = Page(build_report(memory))

    assert "Nothing was tried" in page.text
    assert "Nothing was trained." in page.text
    assert "netwright resume first" in page.text
    assert page.open == []


def test_a_campaign_in_which_everything_failed_says_so(memory, start):
    teller = start()
    action = {"index": 0, "kind": "expand", "operator": "draft"}
    teller.remember(node=0, action=action, operator="draft", stage="planner: no reply", failure="stalled")

    page = Page(build_report(memory, "first"))

    assert "1 design was tried, 0 could be trained" in page.text
    assert "stalled" in page.text


@pytest.mark.parametrize(
    ("repeated", "claim"),
    [
        (True, "it is no different, beyond the noise, from Attention."),
        (False, "it is not to be judged against Attention: the noise is unknown."),
    ],
)
def test_an_unconfirmed_winner_is_called_unsettled(memory, start, repeated, claim):
    teller = start(metric="loss")
    attention = teller.candidate("Attention", "baseline", 1)
    design = teller.candidate("Lucky", "grammar", 2)
    for candidate, loss in ((attention, 1.50), (design, 1.49)):
        teller.trial(candidate, loss)
    if repeated:
        teller.trial(attention, 1.51, seed=2)
    score = {"value": -1.5, "standard_error": 0.02, "rung": 0, "seeds": 1}
    teller.remember(node=-1, operator="baseline", candidate_id=attention.id, score=score)
    action = {"index": 0, "kind": "expand", "operator": "draft"}
    teller.remember(node=0, action=action, operator="draft", candidate_id=design.id, score=score | {"value": -1.49})

    page = Page(build_report(memory))

    assert claim in page.text
    assert "only a confirmation with fresh seeds on the locked test split settles" in page.text
    assert "netwright confirm" in page.text
    assert "bits per byte" not in page.text


def test_a_large_campaign_keeps_a_readable_page(memory, start):
    teller = start()
    score = {"value": -1.5, "standard_error": 0.02, "rung": 0, "seeds": 1}
    for index in range(320):
        candidate = teller.candidate(f"Design {index}", "grammar", index)
        teller.trial(candidate, 1.5 - index / 1000, curve=())
        parents = () if index == 0 else (index - 1,)
        action = {"index": index, "kind": "expand", "operator": "refine", "parents": parents}
        scored = {"candidate_id": candidate.id, "score": score | {"value": -1.5 + index / 1000}}
        teller.remember(node=index, action=action, operator="refine", parents=parents, **scored)

    html = build_report(memory)

    assert "280 more:" in html
    assert len(html) < 400_000


def plain(candidate):
    """The same design without a recipe of its own, which would bring the baselines in once more."""
    return candidate.model_copy(update={"source": candidate.source.replace('RECIPE = {"lr": 2e-3}\n', "")})


def tell_confirmed(teller, made=plain) -> str:
    """Two designs, one made of the other, both confirmed; the id of the better one, which has fewer fresh seeds."""
    losses = dict(zip(CORE, (1.20, 1.02, 0.90, 1.01, 1.00, 0.99, 1.035), strict=True))
    cast = [(baseline(name), loss, 5, -node) for node, (name, loss) in enumerate(losses.items(), 1)]
    designs = [made(teller.candidate(name, "grammar", n)) for n, name in enumerate(("Parent", "Child", "Bystander"))]
    cast += [(designs[0], 1.05, 5, 0), (designs[1], 1.00, 3, 1), (designs[2], 1.30, 5, 2)]
    for candidate, loss, seeds, node in cast:
        teller.memory.put_candidate(candidate)
        teller.trial(candidate, loss if node != 1 else 0.8)
        for seed in range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + seeds):
            noisy = loss + teller.rng.gauss(0, 0.008 if node != 2 else 0.3)
            teller.trial(candidate, noisy, rung=1, seed=seed, split=Split.TEST)
        score = {"value": -loss if node != 1 else -0.8, "standard_error": 0.01, "rung": 0, "seeds": 1}
        known = {"node": node, "candidate_id": candidate.id, "score": score}
        if node < 0:
            teller.remember(operator="baseline", **known)
            continue
        parents = (0,) if node == 1 else ()
        operator = "refine" if parents else "draft"
        action = {"index": node, "kind": "expand", "operator": operator, "parents": parents}
        parent_ids = tuple(candidate.id for candidate, _, _, node in cast if node in parents)
        teller.remember(action=action, operator=operator, parents=parents, parent_ids=parent_ids, **known)
    tell_matched(teller, designs[1], list(losses.values()))
    return designs[1].id


def tell_matched(teller, winner, losses) -> None:
    """The baselines with the winner's recipe, if it has one: only a confirmation trains them."""
    for rival, loss in zip(rivals_of(winner, map(baseline, CORE))[len(losses) :], losses, strict=False):
        teller.memory.put_candidate(rival)
        for seed in range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + 3):
            noisy = loss - 0.01 + teller.rng.gauss(0, 0.008)
            teller.trial(rival, noisy, rung=1, seed=seed, split=Split.TEST)


@pytest.mark.parametrize(("made", "rivals"), [(plain, 8), (lambda design: design, 15)], ids=["plain", "own recipe"])
def test_the_report_says_of_the_confirmed_winner_what_confirm_says(memory, teller_of, tmp_path, made, rivals):
    task = load_task("recall").spec
    config = CampaignConfig(task="recall").model_dump(mode="json")
    winner = tell_confirmed(teller_of(memory.start_campaign("real", task, 0, config)), made)

    said = confirm_candidates(
        tmp_path / "home",
        [],
        sandbox_flags={},
        campaign_name="real",
        seeds=3,
        repeats=0,
        rung=1,
        workers=1,
        on_progress=lambda *_: None,
        flags={"rates": (1.0,)},
    )

    section = build_report(memory, "real").partition('id="confirmed"')[2].partition("</section>")[0]
    rows = {row[1]: row[0] for row in re.finditer(r"<tr.*?<code>(\w+)</code>.*?</tr>", section, re.DOTALL)}
    assert [duel.winner_id for duel in said.duels] == [winner] * rivals
    assert {duel.comparison.outcome for duel in said.duels} == {Outcome.BETTER, Outcome.NO_DIFFERENCE, Outcome.WORSE}
    for duel in said.duels:
        told, interval = rows.pop(duel.rival_id[:10]), duel.comparison.interval
        assert duel.rival_title in unescape(told)
        assert ('"tag">baseline' in told) == (duel.rival_title != "Parent")
        assert f'">{duel.comparison.outcome.value}</span>' in told
        assert f">{words.signed(duel.comparison.delta_nats)}<" in told
        assert f">{words.signed(interval.low)} to {words.signed(interval.high)}<" in told
    assert len(rows) == 2
    assert not any("chip" in row for row in rows.values())


def test_the_report_takes_the_learning_rate_of_the_latest_look(memory, teller_of):
    task = load_task("recall").spec
    teller = teller_of(memory.start_campaign("real", task, 0, CampaignConfig(task="recall").model_dump(mode="json")))
    winner = memory.candidate(tell_confirmed(teller, plain))
    for rate, loss in ((2.0, 0.25), (4.0, 0.125)):
        swept = {"rung": 1, "rate": rate}
        teller.trial(winner, loss, seed=SWEEP_SEEDS[0], **swept)
        for seed in range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + 2):
            teller.trial(winner, loss, seed=seed, split=Split.TEST, **swept)
    for rate in (4.0, 2.0):
        seeds = (FIRST_FRESH_SEED, FIRST_FRESH_SEED + 1)
        look = Opening(task_id=task.id, rung=1, candidate_id=winner.id, rate=rate, seeds=seeds)
        memory.put_opening(None, look)

    page = build_report(memory, "real")

    section = page.partition('id="confirmed"')[2].partition("</section>")[0]
    assert section.count('"tag">lr x 2<') == section.count("lr x") == 1
    assert '<td class="n">0.2500' in section
    assert "0.1250" not in page


def test_what_ran_without_isolation_is_marked_in_report_and_claims(memory, teller_of, tmp_path):
    task = load_task("recall").spec
    config = CampaignConfig(task="recall").model_dump(mode="json")
    winner = tell_confirmed(teller_of(memory.start_campaign("real", task, 0, config)), plain)
    before = build_report(memory, "real")
    with memory.connection.write() as conn:
        conn.execute("UPDATE trials SET tier = 'T0' WHERE candidate_id = ?", (winner,))

    said = confirm_candidates(
        tmp_path / "home",
        [winner],
        sandbox_flags={"tier": "T0", "accept_no_sandbox": True},
        campaign_name="real",
        seeds=3,
        repeats=0,
        rung=1,
        workers=1,
        on_progress=lambda *_: None,
        flags={"rates": (1.0,)},
    )
    page = build_report(memory, "real")

    assert "not isolated" not in before and "trained without isolation" not in before
    assert page.count('"tag">not isolated<') == 2  # the leaderboard and the locked split
    assert "trained without isolation (T0)" in page and "T0 (not isolated)" in page
    assert [row.candidate.id for row in said.rows if row.not_isolated] == [winner]
    assert "not isolated" in said.sentence(said.winners[0])


def test_a_winner_that_does_not_repeat_itself_is_better_than_nobody_in_report_and_claims(memory, teller_of, tmp_path):
    task = load_task("recall").spec
    config = CampaignConfig(task="recall").model_dump(mode="json")
    teller = teller_of(memory.start_campaign("real", task, 0, config))
    winner = memory.candidate(tell_confirmed(teller, plain))
    before = build_report(memory, "real")
    teller.trial(winner, 0.5, rung=1, seed=FIRST_FRESH_SEED, split=Split.TEST, repeat=1)

    said = confirm_candidates(
        tmp_path / "home",
        [winner.id],
        sandbox_flags={},
        campaign_name="real",
        seeds=3,
        rung=1,
        workers=1,
        on_progress=lambda *_: None,
        flags={"rates": (1.0,)},
    )

    locked = build_report(memory, "real").partition('id="confirmed"')[2].partition("</section>")[0]
    assert Outcome.BETTER.value in before.partition('id="confirmed"')[2].partition("</section>")[0]
    assert Outcome.BETTER not in {duel.comparison.outcome for duel in said.duels}
    assert f">{Outcome.BETTER.value}</span>" not in locked
