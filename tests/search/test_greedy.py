from netwright.search.greedy import GreedyPolicy
from netwright.search.policy import Observation
from netwright.types import Operator


def tell_baselines(policy: GreedyPolicy, *values: float) -> None:
    for node, value in enumerate(values, 1):
        policy.tell(Observation(action=None, node=-node, value=value))


def test_a_few_drafts_come_first():
    policy = GreedyPolicy(seed=0, prices=[1.0], first_drafts=3)
    tell_baselines(policy, 1.0, 2.0)

    assert [policy.ask(index).operator for index in range(3)] == [Operator.DRAFT] * 3
    assert policy.ask(3).operator is not Operator.DRAFT


def test_the_best_is_always_the_one_that_is_grown():
    policy = GreedyPolicy(seed=0, prices=[1.0], first_drafts=0)
    tell_baselines(policy, 1.0, 5.0, 3.0)

    for index in range(30):
        action = policy.ask(index)
        assert action.parents[0] == -2
        assert action.parents[1:] in ((), (-3,))
        policy.tell(Observation(action=action, node=index, value=0.5))

    action = policy.ask(30)
    policy.tell(Observation(action=action, node=30, value=9.0))
    assert policy.ask(31).parents[0] == 30


def test_of_equals_the_youngest_is_grown():
    policy = GreedyPolicy(seed=0, prices=[1.0], first_drafts=0)
    tell_baselines(policy, 1.0)
    for index in range(20):
        action = policy.ask(index)
        assert action.parents[0] == (index - 1 if index else -1)
        policy.tell(Observation(action=action, node=index, value=1.0))


def test_where_all_children_of_the_best_fail_the_next_best_is_grown_and_at_last_a_draft():
    policy = GreedyPolicy(seed=0, prices=[1.0], first_drafts=0, patience=2)
    tell_baselines(policy, 1.0, 2.0)

    grown = []
    for index in range(6):
        action = policy.ask(index)
        grown.append(action.parents[:1])
        policy.tell(Observation(action=action, node=index, value=None, repairable=False))

    assert grown == [(-2,), (-2,), (-1,), (-1,), (), ()]
