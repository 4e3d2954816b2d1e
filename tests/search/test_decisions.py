import itertools

from netwright.search.decisions import DecisionsPolicy, coarse_first
from netwright.search.policy import Observation, Sketch
from netwright.types import Action, Operator, Structure

PLACES = ("kind", "kind.a", "kind.b")
DESIGNS = [dict(zip(PLACES, options, strict=True)) for options in itertools.product("xyz", repeat=3)]


def sketch(action: Action, count: int) -> list[Sketch]:
    return [Sketch(draw, Structure(choices=choices)) for draw, choices in enumerate(DESIGNS[:count])]


def play(policy: DecisionsPolicy, worth, asks: int, first: int = 0) -> list[dict[str, str]]:
    asked = []
    for index in range(first, first + asks):
        action = policy.ask(index, sketch)
        asked.append(DESIGNS[action.draw])
        value = worth(asked[-1])
        structure = Structure(choices=asked[-1])
        policy.tell(Observation(action=action, node=index, value=value, repairable=False, structure=structure))
    return asked


def test_each_option_of_the_first_place_is_taken_before_any_is_again():
    asked = play(DecisionsPolicy(seed=1, prices=[1.0]), lambda choices: 1.0, 3)

    assert {choices["kind"] for choices in asked} == {"x", "y", "z"}


def test_the_branch_of_the_better_designs_is_taken_more_often_and_none_is_given_up():
    policy = DecisionsPolicy(seed=0, prices=[1.0])

    asked = play(policy, lambda choices: float((choices["kind"] == "y") + (choices["kind.b"] == "z")), 120)

    for place, best in (("kind", "y"), ("kind.b", "z")):
        taken = [choices[place] for choices in asked[30:]]
        assert taken.count(best) > 60
    assert {choices["kind"] for choices in asked[30:]} == {"x", "y", "z"}


def test_a_branch_whose_designs_fail_is_avoided():
    asked = play(DecisionsPolicy(seed=0, prices=[1.0]), lambda choices: None if choices["kind"] == "x" else 1.0, 60)

    assert sum(choices["kind"] == "x" for choices in asked[20:]) < 8


def test_designs_in_flight_count_as_visits_that_brought_nothing():
    policy = DecisionsPolicy(seed=0, prices=[1.0])

    asked = [DESIGNS[policy.ask(index, sketch).draw] for index in range(9)]

    assert sorted(choices["kind"] for choices in asked) == list("xxxyyyzzz")


def test_coarse_decisions_come_before_fine_ones_and_kinds_before_all_others():
    places = ["even.body.decay.kind", "even.body.decay", "even.body.kind", "recipe", "even.skip"]

    assert sorted(places, key=coarse_first) == [
        "recipe",
        "even.skip",
        "even.body.kind",
        "even.body.decay",
        "even.body.decay.kind",
    ]


def test_a_planner_that_cannot_show_designs_is_asked_for_drafts():
    policy = DecisionsPolicy(seed=0, prices=[1.0])

    actions = [policy.ask(index) for index in range(5)]

    assert {action.operator for action in actions} == {Operator.DRAFT}
    assert {action.draw for action in actions} == {0}
