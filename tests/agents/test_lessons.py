"""What critics conclude and what a librarian makes of it: carried out as far as the evidence holds."""

from __future__ import annotations

import pytest

from netwright.agents.lessons import Revision, Shelf
from netwright.types import Claim

TOLD = range(20)


def shelf(*claims: str) -> Shelf:
    """Lessons concluded from experiments 0, 1, 2, ..."""
    built = Shelf()
    for number, claim in enumerate(claims):
        built = built.concluded(claim, number)
    return built


def revised(before: Shelf, **wanted: object) -> Shelf:
    return before.revised(Revision.model_validate(wanted), TOLD)


def texts(shown: Shelf) -> list[str]:
    return [lesson.text for lesson in shown.standing]


def test_the_same_claim_again_is_evidence_for_it() -> None:
    twice = shelf("Gates help.", "Wide keys help.", "gates  HELP")

    assert [lesson.claim() for lesson in twice.standing] == [
        Claim(text="Gates help.", supporting=(0, 2)),
        Claim(text="Wide keys help.", supporting=(1,)),
    ]


def test_an_experiment_speaks_on_one_side_and_the_last_word_counts() -> None:
    before = shelf("Gates help.")

    after = revised(before, evidence=[{"lesson": 1, "experiment": 5, "supports": True}])
    again = revised(after, evidence=[{"lesson": "L1", "experiment": "#5", "supports": False}])

    assert after.lessons[0].supporting == (0, 5)
    assert (again.lessons[0].supporting, again.lessons[0].opposing) == ((0,), (5,))


def test_lessons_with_more_for_them_stand_first() -> None:
    before = shelf("Gates help.", "Wide keys help.")

    after = revised(before, evidence=[{"lesson": 2, "experiment": 5, "supports": True}])

    assert texts(after) == ["Wide keys help.", "Gates help."]


def test_lessons_that_say_the_same_become_one_with_the_evidence_of_all() -> None:
    before = shelf("Gates help.", "A gate helps.", "Wide keys help.")

    after = revised(before, merge=[{"lessons": [1, 2], "claim": "On recall, gates help."}])

    assert texts(after) == ["On recall, gates help.", "Wide keys help."]
    assert after.standing[0].supporting == (0, 1)
    assert [lesson.retired for lesson in after.lessons[:2]] == ["merged into: On recall, gates help."] * 2
    assert len(after.lessons) == 4, "nothing is thrown away"


def test_a_merge_may_keep_the_words_of_one_of_them() -> None:
    after = revised(shelf("Gates help.", "A gate helps."), merge=[{"lessons": [1, 2], "claim": "Gates help."}])

    assert texts(after) == ["Gates help."]
    assert after.lessons[0].supporting == (0, 1)


def test_in_a_merge_what_speaks_against_one_speaks_against_all() -> None:
    against = [{"lesson": 2, "experiment": 0, "supports": False}]
    before = revised(shelf("Gates help.", "A gate helps."), evidence=against)

    (merged,) = revised(before, merge=[{"lessons": [1, 2], "claim": "Both."}]).standing

    assert (merged.supporting, merged.opposing) == ((1,), (0,))


def test_a_lesson_is_retired_by_later_evidence_alone() -> None:
    before = Shelf().concluded("Gates help.", 5)
    because = [{"lesson": 1, "because": "Experiment 9 says otherwise."}]

    bare = revised(before, retire=because)
    earlier = revised(before, evidence=[{"lesson": 1, "experiment": 3, "supports": False}], retire=because)
    later = revised(before, evidence=[{"lesson": 1, "experiment": 9, "supports": False}], retire=because)

    assert len(texts(bare)) == len(texts(earlier)) == 1
    assert texts(later) == []
    assert later.lessons[0].retired == "Experiment 9 says otherwise."


def test_a_new_lesson_needs_an_experiment_that_was_told() -> None:
    new = [{"claim": "Decay helps.", "supporting": [4, "#9", 99], "opposing": [7, 98]}]

    (lesson,) = revised(Shelf(), new=new).standing

    assert (lesson.supporting, lesson.opposing) == ((4, 9), (7,))
    assert revised(Shelf(), new=[{"claim": "Decay helps.", "supporting": [99]}]) == Shelf()


@pytest.mark.parametrize(
    "wanted",
    [
        {"evidence": [{"lesson": 7, "experiment": 1, "supports": True}]},
        {"evidence": [{"lesson": 1, "experiment": 99, "supports": True}]},
        {"merge": [{"lessons": numbers, "claim": "One."} for numbers in ([1], [1, 1], [7, 8])]},
        {"retire": [{"lesson": 7, "because": "?"}]},
        {},
    ],
)
def test_what_names_nothing_that_is_there_changes_nothing(wanted: dict[str, object]) -> None:
    before = shelf("Gates help.", "Wide keys help.")

    assert revised(before, **wanted) == before


def test_a_retired_lesson_is_out_of_reach() -> None:
    retired = revised(
        Shelf().concluded("Gates help.", 1),
        evidence=[{"lesson": 1, "experiment": 2, "supports": False}],
        retire=[{"lesson": 1, "because": "2"}],
    )

    assert revised(retired, evidence=[{"lesson": 1, "experiment": 3, "supports": True}]) == retired


def test_what_the_evidence_refutes_is_retired_without_a_word_of_the_librarian() -> None:
    doubted = shelf("Gates help.")
    against = [{"lesson": 1, "experiment": number, "supports": False} for number in (5, 6, 7)]

    twice = revised(doubted, evidence=against[:2])
    refuted = revised(doubted, evidence=against)

    assert texts(twice) == ["Gates help."] and twice.lessons[0].confidence == 0.25
    assert texts(refuted) == []
    assert refuted.lessons[0].retired == "refuted: 1 for it, 3 against it"
