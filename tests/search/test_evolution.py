from netwright.search.evolution import EvolutionPolicy
from netwright.search.policy import Observation
from netwright.types import Operator


def test_the_population_is_filled_by_drafts_before_anything_is_varied():
    policy = EvolutionPolicy(seed=0, prices=[1.0], population=8)
    operators = []
    for index in range(20):
        action = policy.ask(index)
        operators.append(action.operator)
        policy.tell(Observation(action=action, node=index, value=float(index)))

    assert operators[:8] == [Operator.DRAFT] * 8
    assert Operator.DRAFT not in operators[8:]


def test_baselines_are_the_first_members():
    policy = EvolutionPolicy(seed=0, prices=[1.0], population=3)
    for node in (-1, -2, -3):
        policy.tell(Observation(action=None, node=node, value=1.0))

    assert policy.ask(0).parents[0] in (-1, -2, -3)


def test_the_old_die_however_good_they_are():
    policy = EvolutionPolicy(seed=0, prices=[1.0], population=10)
    for index in range(200):
        action = policy.ask(index)
        assert all(parent >= index - 10 for parent in action.parents)
        policy.tell(Observation(action=action, node=index, value=1000.0 if index == 5 else float(index % 7)))


def test_the_tournament_prefers_the_better():
    policy = EvolutionPolicy(seed=0, prices=[1.0], population=10)
    for node in range(1, 11):
        policy.tell(Observation(action=None, node=-node, value=float(node)))

    parents = [policy.ask(index).parents[0] for index in range(100)]

    assert sum(parent <= -8 for parent in parents) > 60


def test_failures_never_enter_the_population():
    policy = EvolutionPolicy(seed=0, prices=[1.0], population=5)
    bad = set()
    for index in range(60):
        action = policy.ask(index)
        assert not bad & set(action.parents)
        failed = index % 3 == 0
        if failed:
            bad.add(index)
        policy.tell(Observation(action=action, node=index, value=None if failed else 1.0))
