import itertools

import pytest

from netwright.search.policy import Observation, Sketch
from netwright.search.surrogate import SurrogatePolicy
from netwright.types import Action, Operator, Structure

DESIGNS = [Structure(choices=dict(zip("abc", options, strict=True))) for options in itertools.product("xyz", repeat=3)]


def worth(structure: Structure) -> float:
    """How many places take the option y."""
    return float(sum(option == "y" for option in structure.choices.values()))


def sketch(action: Action, count: int) -> list[Sketch]:
    """Fresh designs are all there are, variations of a design none."""
    return (
        [Sketch(draw, each) for draw, each in enumerate(DESIGNS[:count])] if action.operator is Operator.DRAFT else []
    )


@pytest.fixture
def informed() -> SurrogatePolicy:
    """A policy that was told what eight designs are worth, none of which takes y twice."""
    policy = SurrogatePolicy(seed=0, prices=[1.0])
    for index, structure in enumerate([each for each in DESIGNS if worth(each) < 2][::2][:8]):
        action = policy.ask(index)
        assert action.operator is Operator.DRAFT
        policy.tell(Observation(action=action, node=index, value=worth(structure), structure=structure))
    return policy


def test_what_is_trained_next_is_what_the_model_expects_most_of(informed):
    assert worth(DESIGNS[informed.ask(8, sketch).draw]) >= 2


def test_the_best_of_all_is_found_with_few_trainings(informed):
    asked = []
    for index in range(8, 14):
        action = informed.ask(index, sketch)
        asked.append(worth(DESIGNS[action.draw]))
        structure = DESIGNS[action.draw]
        informed.tell(Observation(action=action, node=index, value=asked[-1], structure=structure))

    assert 3.0 in asked


def test_designs_in_flight_are_not_chosen_again(informed):
    draws = [informed.ask(index, sketch).draw for index in range(8, 13)]

    assert len(set(draws)) == 5


def test_variations_of_the_best_are_looked_at_with_the_fresh_designs(informed):
    asked: list[tuple[Operator, tuple[int, ...]]] = []

    def note(action: Action, count: int) -> list[Sketch]:
        asked.append((action.operator, action.parents))
        return [Sketch(0, DESIGNS[0])]

    informed.ask(8, note)

    assert asked[0] == (Operator.DRAFT, ())
    assert {operator for operator, _ in asked[1:]} == {Operator.REFINE}
    assert len({parents for _, parents in asked[1:]}) == 8


def test_a_planner_that_shows_nothing_is_searched_greedily(informed):
    best = max(range(8), key=lambda node: (informed.state.standings()[node], node))

    assert informed.ask(8).parents[0] == best
