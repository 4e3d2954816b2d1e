from __future__ import annotations

import pytest

from netwright.memory import Knowledge
from netwright.memory.search import search
from netwright.types import Verdict


@pytest.fixture
def library(memory, campaign, make_candidate, make_trial, make_record):
    decay = make_candidate(
        0, title="Decaying memory", hypothesis="A gated decay forgets.", source="class Mixer: short_conv = 1\n"
    )
    delta = make_candidate(
        1, title="Delta rule", hypothesis="Fast weights overwrite.", source="def decay(x): return x\n"
    )
    for index, candidate in enumerate((decay, delta)):
        memory.put_candidate(candidate)
        words = "Decays were enough." if index == 0 else "Overwriting keeps old facts."
        memory.remember(campaign.id, make_record(index, candidate, verdict=Verdict(outcome="better", words=words)))
    output = "RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    memory.put_trial(campaign.id, make_trial(delta, None, last_output=output))
    memory.remember(campaign.id, make_record(2, None, None, failure="the endpoint stalled", stage="planner"))
    memory.put_knowledge(Knowledge(kind="block", title="Retention", text="exponential forgetting", source="paper"))
    return decay, delta


def titles(memory, query: str, **options) -> list[str]:
    return [hit.title for hit in search(memory, query, **options)]


def test_words_are_found_in_any_form_and_several_places_count_more(memory, library):
    hits = search(memory, "decays")

    assert [hit.title for hit in hits] == ["Decaying memory", "Delta rule"]
    assert hits[0].kinds == ("idea", "verdict")
    assert hits[1].kinds == ("code",)
    assert hits[0].candidate_id == library[0].id
    assert hits[0].snippet == "«Decaying» memory"
    assert hits[0].why == "idea speaks of decaying; verdict speaks of decays"


def test_everything_that_was_written_is_searched(memory, library):
    assert titles(memory, "short_conv") == ["Decaying memory"]
    assert titles(memory, "overwriting old facts") == ["Delta rule"]
    assert titles(memory, "mat1 shapes multiplied") == ["Delta rule"]
    assert titles(memory, "exponential") == ["Retention"]
    (stalled,) = search(memory, "stalled")
    assert (stalled.candidate_id, stalled.campaign, stalled.node, stalled.kinds) == (None, "first", 2, ("failure",))


def test_kinds_restrict_where_to_look(memory, library):
    assert titles(memory, "decay", kinds=["code"]) == ["Delta rule"]
    assert titles(memory, "decay", kinds=["failure"]) == []
    assert len(titles(memory, "decay", limit=1)) == 1


def test_phrases_and_beginnings_are_understood(memory, library):
    assert titles(memory, '"fast weights"') == ["Delta rule"]
    assert titles(memory, '"weights fast"') == []
    assert "Decaying memory" in titles(memory, "forg*")


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "   ",
        '"',
        '"""',
        "AND OR NOT",
        "NEAR(a b",
        "title:",
        "a:b:c",
        "-decay",
        "decay AND",
        "(decay",
        "decay)",
        "*",
        "^decay",
        "{source} : x",
        "';DROP TABLE trials;--",
        "\x00",
        "decay\x00gate",
        "_",
        "日本語 🙂",
        "\ud800",
        "'decay'",
        "decay* *",
        "%_\\",
        "x " * 5000,
        "word " * 50 + "decay",
    ],
)
def test_no_query_is_an_error(memory, library, odd):
    hits = search(memory, odd)

    assert len(hits) <= 4
    assert len(memory.trials()) == 2


def test_of_a_long_query_the_rarest_words_count(memory, library, make_candidate):
    common = "class mixer define returned layers heads module forward"
    for number in range(10, 13):
        memory.put_candidate(make_candidate(number, hypothesis=common))

    assert "" in titles(memory, f"{common} nowhere stalled")


def test_what_is_written_later_is_found_at_once(memory, library, make_candidate):
    assert titles(memory, "holographic") == []

    memory.put_candidate(make_candidate(5, title="Holographic memory"))

    assert titles(memory, "holographic") == ["Holographic memory"]


def test_a_word_that_is_everywhere_is_dropped_beside_a_rarer_one(memory, library, make_candidate, monkeypatch):
    monkeypatch.setattr("netwright.memory.search.COUNTED_UP_TO", 3)
    for number in range(10, 14):
        memory.put_candidate(make_candidate(number, hypothesis="a common thought"))

    assert titles(memory, "common exponential") == ["Retention"]
    assert len(titles(memory, "common")) == 4
