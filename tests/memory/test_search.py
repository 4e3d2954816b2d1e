from __future__ import annotations

import pytest

from netwright.errors import ConfigError, NotFound
from netwright.memory import Knowledge
from netwright.memory.filters import Condition, Filter
from netwright.memory.search import Like, search
from netwright.types import Structure, Verdict


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
    assert hits[0].kinds == ("idea", "verdict", "alike")
    assert hits[1].kinds == ("code",)
    assert hits[0].candidate_id == library[0].id
    assert hits[0].snippet == "«Decaying» memory"
    assert hits[0].why == "idea speaks of decaying; verdict speaks of decays; its words are like it: decays"


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


def test_another_form_of_a_word_is_found_by_what_it_is_like(memory, library):
    (hit,) = search(memory, "overwriter", kinds=["alike"])

    assert (hit.title, hit.kinds) == ("Delta rule", ("alike",))
    assert "its words are like it: overwrite" in hit.why


def test_lessons_are_found(memory, library, campaign):
    memory.put_lesson(campaign.id, "Convolutions pay at small widths.", supporting=[0], opposing=[])

    (hit,) = search(memory, "convolution widths")

    assert (hit.title, hit.kinds) == ("Convolutions pay at small widths.", ("lesson",))


@pytest.fixture
def made(memory, task, library):
    """What the two designs are made of."""
    found = []
    for candidate, counts in zip(library, ({"exp": 2.0, "mul": 3.0}, {"matmul": 4.0, "sub": 1.0}), strict=True):
        found.append(Structure(counts=counts))
        memory.put_structure(candidate.id, task.id, 1, found[-1])
    return found


def test_designs_are_found_by_what_they_are_made_of(memory, made):
    hits = search(memory, like=Like(Structure(counts={"matmul": 4.0, "sub": 1.0, "exp": 1.0})))

    assert [hit.title for hit in hits] == ["Delta rule", "Decaying memory"]
    assert hits[0].kinds == ("structure",)
    assert hits[0].why == "made alike (distance 0.17): both have matmul, sub"


def test_a_design_is_not_like_itself(memory, library, made):
    assert titles(memory, "", like=Like(made[0], candidate_id=library[0].id)) == []


def test_words_and_structure_are_fused(memory, made):
    (first, *_) = search(memory, "fast weights", like=Like(made[1]))

    assert first.title == "Delta rule"
    assert {"idea", "structure"} <= set(first.kinds)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("loss < 1.4", Condition("loss", "<", 1.4)),
        ("parameters<=120_000", Condition("parameters", "<=", 120_000)),
        ("Bits per byte != -1e3", Condition("bits_per_byte", "!=", -1000)),
    ],
)
def test_a_condition_is_a_name_a_sign_and_a_number(text, condition):
    assert Condition.parsed(text) == condition


@pytest.mark.parametrize("text", ["", "loss", "loss <", "< 3", "loss < big", "loss < nan", "loss < 1 or 1", "1 < 2"])
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigError, match="is no condition: write a name, one of"):
        Condition.parsed(text)


@pytest.fixture
def trained(memory, library, campaign, make_trial):
    """The first design with a loss of 1.2 and a recall of 0.9 over two seeds, the second with 1.5."""
    for seed, recall in ((1, 0.8), (2, 1.0)):
        memory.put_trial(campaign.id, make_trial(library[0], 1.2, seed=seed, metrics={"recall": recall}))
    memory.put_trial(campaign.id, make_trial(library[1], 1.5, seed=3, parameters=50))


def under(*conditions: str, **more: str) -> Filter:
    return Filter(where=tuple(map(Condition.parsed, conditions)), **more)


def test_numbers_restrict_what_is_found(memory, trained):
    assert titles(memory, "decay", only=under("loss < 1.4")) == ["Decaying memory"]
    assert titles(memory, "decay", only=under("loss >= 1.4")) == ["Delta rule"]
    assert titles(memory, "decay", only=under("recall = 0.9", "seeds = 2")) == ["Decaying memory"]
    assert titles(memory, "decay", only=under("recall > 0", "parameters < 100")) == []
    assert titles(memory, "exponential", only=under("loss < 9")) == []


def test_a_training_that_comes_later_counts_at_once(memory, trained, library, campaign, make_trial):
    assert titles(memory, "overwrite", only=under("loss < 1")) == []

    memory.put_trial(campaign.id, make_trial(library[1], 0.2, rung=1))

    assert titles(memory, "overwrite", only=under("loss < 1")) == ["Delta rule"]


def test_task_campaign_outcome_and_origin_restrict_too(memory, trained, make_candidate):
    memory.put_candidate(make_candidate(9, title="Decay elsewhere", origin="llama"))

    assert titles(memory, "decay", only=Filter(origin="llama")) == ["Decay elsewhere"]
    assert titles(memory, "decay", only=Filter(campaign="first")) == ["Decaying memory", "Delta rule"]
    assert titles(memory, "decay", only=Filter(task="bytes", outcome="better")) == ["Decaying memory", "Delta rule"]
    assert titles(memory, "decay", only=Filter(campaign="first", outcome="worse")) == []


@pytest.mark.parametrize(
    ("only", "sentence"),
    [
        (under("speed > 3"), "nothing here has a number 'speed'; known: .*loss, .*recall"),
        (Filter(task="poetry"), "nothing was tried on a task 'poetry'; known: bytes"),
        (Filter(campaign="second"), "there is no campaign 'second'; known: first"),
        (Filter(outcome="good"), "there is no outcome 'good'; known: better, worse"),
        (Filter(origin="me"), "no candidate is by 'me'; known: baseline, grammar"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(memory, trained, only, sentence):
    with pytest.raises((ConfigError, NotFound), match=sentence):
        search(memory, "decay", only=only)
