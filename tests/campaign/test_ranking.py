"""Which of several plans is built first: what results promise, what is new, and what the critic thinks."""

from __future__ import annotations

from netwright.agents.replies import Plan
from netwright.campaign.ranking import ranked
from netwright.types import Candidate, Scope, Score


def plan(title: str, hypothesis: str = "An idea.") -> Plan:
    return Plan(title=title, hypothesis=hypothesis)


def outcome(title: str, loss: float | None, number: int) -> tuple[Candidate, Score | None]:
    candidate = Candidate(source=f"# {number}", scope=Scope.MIXER, title=title, hypothesis="An idea.", origin="llm:m")
    return candidate, None if loss is None else Score(value=-loss, standard_error=0.01, rung=0, seeds=1)


def titles(plans: list[Plan]) -> list[str]:
    return [each.title for each in plans]


def test_while_nothing_is_known_the_planners_own_order_stays() -> None:
    assert titles(ranked([plan("gate"), plan("delta"), plan("copy")], [], None)) == ["gate", "delta", "copy"]


def test_the_critics_favourite_comes_first_where_nothing_else_tells_them_apart() -> None:
    assert titles(ranked([plan("gate"), plan("delta"), plan("copy")], [], [3, 9, 5])) == ["delta", "copy", "gate"]


def test_a_plan_like_one_that_was_tried_stands_behind_a_new_one() -> None:
    known = [outcome("gate", None, 1)]

    assert titles(ranked([plan("gate"), plan("delta")], known, None)) == ["delta", "gate"]


def test_words_of_designs_that_did_well_promise_much() -> None:
    known = [outcome(f"delta rule {word}", 1.0, number) for number, word in enumerate(("one", "two", "six", "ten"))]
    known += [
        outcome(f"moving average {word}", 3.0, 9 + number) for number, word in enumerate(("one", "two", "six", "ten"))
    ]

    assert titles(ranked([plan("moving average now"), plan("delta rule now")], known, None))[0] == "delta rule now"


def test_scores_of_a_higher_rung_are_not_compared_with_those_below() -> None:
    known = [outcome(f"delta rule {number}", 1.0, number) for number in range(7)]
    candidate, score = outcome("moving average", 0.1, 99)
    assert score is not None
    known.append((candidate, score.model_copy(update={"rung": 1})))

    assert titles(ranked([plan("zebra one"), plan("zebra two")], known, None)) == ["zebra one", "zebra two"]
