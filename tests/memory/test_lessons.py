from __future__ import annotations

import csv
import io

import pytest

from netwright.cli.forms import Form
from netwright.cli.lessons import print_lessons
from netwright.errors import NotFound
from netwright.memory.lessons import lessons
from netwright.types import Verdict


@pytest.fixture
def taught(memory, campaign, make_candidate, make_trial, make_record):
    """Three experiments; one lesson that later ones support, one that they refute."""
    for number, claim in enumerate(("Gates help.", "Wide keys help.", "Gates help.")):
        design = make_candidate(number)
        memory.put_candidate(design)
        verdict = Verdict(outcome="better", delta_nats=-0.1, words="It helped.", lesson=claim)
        memory.remember(campaign.id, make_record(number, design, verdict=verdict))
    memory.put_lesson(campaign.id, "Wide keys help.", supporting=[1], opposing=[0, 2])
    return memory


def test_confidence_moves_with_each_experiment_and_the_most_trusted_comes_first(taught):
    first, second = lessons(taught)

    assert (first.claim, first.confidence, first.trend) == ("Gates help.", pytest.approx(2 / 3), (0.5, 2 / 3))
    assert (second.claim, second.trend) == ("Wide keys help.", (0.5, pytest.approx(1 / 3), 0.25))
    assert [(each.node, each.supports) for each in second.evidence] == [(1, True), (0, False), (2, False)]


def test_a_retired_lesson_is_shown_where_it_is_asked_for(taught, campaign):
    taught.put_lesson(campaign.id, "Wide keys help.", supporting=[1], opposing=[0, 2], retired="longer ones did not")

    assert [lesson.claim for lesson in lessons(taught)] == ["Gates help."]
    assert [lesson.retired for lesson in lessons(taught, retired=True)] == ["longer ones did not"]


def test_lessons_are_those_of_a_task_or_of_a_campaign(taught, task):
    taught.start_campaign("empty", task, 1, {})

    assert len(lessons(taught, task="bytes")) == len(lessons(taught, task=task.id, campaign="first")) == 2
    assert lessons(taught, task="recall") == lessons(taught, campaign="empty") == []
    with pytest.raises(NotFound, match="known: first, empty"):
        lessons(taught, campaign="nope")


def test_they_are_printed_with_the_ids_of_their_evidence(taught, capfd, make_candidate):
    asked = {"campaign": None, "task": None, "retired": False}
    print_lessons(taught.home, **asked, form=Form.TEXT)
    text = capfd.readouterr().out
    print_lessons(taught.home, **asked, form=Form.CSV)
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))

    assert text.startswith("67% ▅▆  Gates help.") and "against" in text
    assert make_candidate(0).id[:10] in text
    assert [(row["claim"], row["supports"]) for row in rows[:2]] == [("Gates help.", "True")] * 2
