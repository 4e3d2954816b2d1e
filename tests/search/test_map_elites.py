from netwright.search.map_elites import MapElitesPolicy
from netwright.search.policy import Observation
from netwright.types import Operator, Structure


def structure(kind: str) -> Structure:
    return Structure(choices={"even.body.kind": kind})


def told(values: dict[str, list[float]]) -> MapElitesPolicy:
    """A policy that knows baselines -1, -2, ... of these kinds and values, and no longer drafts."""
    policy = MapElitesPolicy(seed=0, prices=[1.0], first_drafts=0)
    known = [(kind, value) for kind, each in values.items() for value in each]
    for node, (kind, value) in enumerate(known, 1):
        policy.tell(Observation(action=None, node=-node, value=value, structure=structure(kind)))
    return policy


def test_drafts_come_first():
    policy = MapElitesPolicy(seed=0, prices=[1.0], first_drafts=4)
    policy.tell(Observation(action=None, node=-1, value=1.0))

    operators = [policy.ask(index).operator for index in range(5)]

    assert operators[:4] == [Operator.DRAFT] * 4 and operators[4] is not Operator.DRAFT


def test_only_elites_are_grown_and_each_kind_as_often():
    policy = told({"attention": [5.0, 9.0, 7.0], "memory": [1.0, 2.0]})

    parents = [policy.ask(index).parents for index in range(200)]

    assert {parent for each in parents for parent in each} == {-2, -5}
    assert 70 < sum(each[0] == -2 for each in parents) < 130


def test_two_kinds_are_combined():
    policy = told({"attention": [5.0], "memory": [1.0]})

    combined = [action for index in range(100) if (action := policy.ask(index)).operator is Operator.COMBINE]

    assert combined and all(set(action.parents) == {-1, -2} for action in combined)


def test_a_better_design_of_a_kind_takes_the_place_of_the_elite():
    policy = told({"attention": [5.0], "memory": [1.0]})
    action = policy.ask(0)
    policy.tell(Observation(action=action, node=0, value=9.0, structure=structure("attention")))

    parents = {policy.ask(index).parents[0] for index in range(1, 60)}

    assert parents == {0, -2}


def test_an_elite_whose_children_all_fail_is_passed_over():
    policy = told({"attention": [5.0]})
    for index in range(6):
        action = policy.ask(index)
        assert action.parents == (-1,)
        policy.tell(Observation(action=action, node=index, value=None, repairable=False))

    assert policy.ask(6).operator is Operator.DRAFT
