"""What every policy promises, whichever it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import pytest

from netwright.errors import ConfigError
from netwright.search.basic import draft
from netwright.search.guard import GuardedPolicy
from netwright.search.policy import POLICIES, NodeStatistics, Observation, Sketch, make_policy, no_sketches
from netwright.types import Action, Operator, Structure

NAMES = sorted(POLICIES)
ONE, TWO, THREE = [1.0], [1.0, 3.0], [1.0, 3.0, 9.0]
"""What a training costs at each of so many rungs."""
every_policy = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="session")
def play(play):
    """Every policy is shown sketches; what it does without is tested below and policy by policy."""
    return partial(play, sketched=True)


@dataclass(frozen=True)
class Search:
    """A search that was played, how it stood then, and what it asked next."""

    log: list[Action | Observation]
    chosen: dict[int, Structure]
    statistics: dict[int, NodeStatistics]
    next: list[Action]

    @property
    def actions(self) -> list[Action]:
        return [event for event in self.log if isinstance(event, Action)]


@pytest.fixture(scope="session", params=[80, pytest.param(150, marks=pytest.mark.slow)], ids="{} asks".format)
def asks(request):
    """How long the searches of this module are: long enough for every operator and for promotions, see below."""
    return request.param


@pytest.fixture(scope="session")
def land(landscape):
    """Makes the landscape of the searches of this module, on which some trainings fail."""
    return partial(landscape, seed=2, failures=lambda index: index % 9 == 4)


@pytest.fixture(scope="session")
def played(play, land, asks) -> Callable[[str, int], Search]:
    """Play a policy with so many asks in flight; each is played once, for all that is asserted of it."""

    @cache
    def run(name: str, flight: int) -> Search:
        policy, ground = make_policy(name, seed=11, prices=TWO), land()
        found = play(policy, ground, asks, flight)
        statistics = dict(policy.node_statistics())
        following = [policy.ask(index, ground.sketch) for index in range(asks, asks + 10)]
        return Search(found.log, found.chosen, statistics, following)

    return run


def baseline(node: int, value: float | None) -> Observation:
    return Observation(action=None, node=node, value=value, standard_error=0.05)


def fails(action: Action, *, repairable: bool = True) -> Observation:
    node = action.index if action.kind == "expand" else action.parents[0]
    return Observation(action=action, node=node, value=None, rung=action.rung, repairable=repairable)


def test_an_unknown_policy_is_refused_by_naming_the_known_ones():
    with pytest.raises(ConfigError, match="unknown search policy 'hope': use one of tree, random, greedy, evolution"):
        make_policy("hope", seed=0, prices=ONE)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"seed": -1, "prices": ONE}, "seed"),
        ({"seed": 0, "prices": []}, "a price above 0 for each of its rungs, got \\[\\]"),
        ({"seed": 0, "prices": [1.0, 0.0]}, "a price above 0"),
        ({"seed": 0, "prices": [1.0, float("inf")]}, "a price above 0"),
        ({"seed": 0, "prices": ONE, "promotions": 1.5}, "promotions"),
    ],
)
def test_impossible_settings_are_refused(settings, complaint):
    with pytest.raises(ConfigError, match=complaint):
        make_policy("tree", **settings)


@pytest.mark.parametrize(
    "broken", [{"value": float("nan")}, {"value": float("inf")}, {"value": 1.0, "standard_error": -1.0}]
)
def test_an_observation_is_a_finite_number_or_a_failure(broken):
    with pytest.raises(ValueError, match="expected"):
        Observation(action=None, node=-1, **broken)


@every_policy
def test_the_first_action_of_an_empty_search_is_a_draft(name):
    action = make_policy(name, seed=3, prices=TWO).ask(0)

    assert (action.kind, action.operator, action.parents, action.rung) == ("expand", Operator.DRAFT, (), 0)


@every_policy
@pytest.mark.parametrize("flight", [1, 4])
def test_a_search_of_this_length_is_one_of_everything_that_the_policy_does(name, flight, played):
    actions = played(name, flight).actions

    kinds = {action.operator or action.kind for action in actions}
    new, parents = {Operator.DRAFT}, {Operator.REFINE, Operator.COMBINE, Operator.SIMPLIFY}
    repairs = {Operator.REPAIR, Operator.TUNE}
    does = {"tree": new | parents | repairs, "surrogate": new | {Operator.REFINE}, "random": new, "mcts-decisions": new}
    assert kinds == does.get(name, new | parents) | {"promote"}


@every_policy
def test_parents_are_always_nodes_that_have_a_result_or_need_repair(name, played):
    results: dict[int, bool] = {}
    for event in played(name, 4).log:
        if isinstance(event, Observation):
            results[event.node] = results.get(event.node, False) or event.value is not None
            continue
        for parent in event.parents:
            assert parent in results
            assert results[parent] != (event.operator is Operator.REPAIR)
        assert len(set(event.parents)) == len(event.parents)
        assert len(event.parents) == {Operator.DRAFT: 0, Operator.COMBINE: 2}.get(event.operator, 1)


@every_policy
@pytest.mark.parametrize("flight", [1, 4])
def test_replaying_the_same_interleaving_rebuilds_the_same_search(name, flight, played, land):
    search, again, ground = played(name, flight), make_policy(name, seed=11, prices=TWO), land()

    for event in search.log:
        if isinstance(event, Observation):
            assert ground.answer(event.action) == event
            again.tell(event)
        else:
            assert again.ask(event.index, ground.sketch) == event

    assert again.node_statistics() == search.statistics
    assert again.ask(search.next[0].index, ground.sketch) == search.next[0]


@every_policy
def test_another_seed_is_another_search(name, play, land, played):
    def choices(actions):
        return [(action.operator, action.parents, action.draw) for action in actions]

    other = play(make_policy(name, seed=12, prices=TWO), land(), 40, flight=4)

    assert (choices(other.actions) == choices(played(name, 4).actions[:40])) == (name == "random")


@every_policy
@pytest.mark.parametrize(("scale", "offset"), [(1024.0, 0.0), (0.01, -7.0), (3.7, 11.0)])
def test_the_unit_of_the_values_does_not_matter(name, scale, offset, play, land, played, asks):
    other = play(make_policy(name, seed=11, prices=TWO), land(scale=scale, offset=offset), asks, flight=4)

    assert other.actions == played(name, 4).actions


@every_policy
def test_many_asks_before_any_answer_are_served(name):
    policy = make_policy(name, seed=0, prices=TWO)

    actions = [policy.ask(index) for index in range(40)]

    assert {action.operator for action in actions} == {Operator.DRAFT}


@every_policy
@pytest.mark.parametrize("flight", [1, 4])
def test_every_answer_is_one_that_a_campaign_can_carry_out(name, flight, play, landscape, asks):
    policy = GuardedPolicy(make_policy(name, seed=8, prices=THREE), name=name, rungs=3)

    play(policy, landscape(seed=3, failures=lambda index: index % 5 == 2), asks, flight)

    assert policy.node_statistics()


@every_policy
@pytest.mark.parametrize("flight", [1, 4])
def test_a_search_resumed_from_its_log_goes_on_as_if_it_had_not_ended(name, flight, played, land):
    search, again, ground = played(name, flight), make_policy(name, seed=11, prices=TWO), land()

    for event in search.log:
        if isinstance(event, Observation):
            ground.answer(event.action)
            again.tell(event)
        else:
            again.resume(event, search.chosen.get(event.index))

    assert again.node_statistics() == search.statistics
    assert [again.ask(action.index, ground.sketch) for action in search.next] == search.next


def same_sketch(action: Action, count: int) -> list[Sketch]:
    """All that a planner with a single design to offer can show."""
    return [Sketch(0, Structure(choices={"kind": "memory", "kind.rule": "delta"}, numbers={"depth": 3.0}))]


every_planner = pytest.mark.parametrize("sketch", [no_sketches, same_sketch])


@every_policy
@every_planner
def test_the_search_goes_on_when_everything_fails(name, sketch):
    policy = make_policy(name, seed=0, prices=TWO)
    for node in range(1, 4):
        policy.tell(baseline(-node, None))

    for index in range(60):
        action = policy.ask(index, sketch)
        assert action.kind == "expand"
        policy.tell(fails(action))

    assert all(statistics.value == 0.0 for statistics in policy.node_statistics().values())


@every_policy
@every_planner
def test_the_search_goes_on_when_every_proposal_is_a_duplicate(name, sketch):
    policy = make_policy(name, seed=0, prices=TWO)
    policy.tell(baseline(-1, 1.0))

    actions = []
    for index in range(80):
        actions.append(policy.ask(index, sketch))
        policy.tell(fails(actions[-1], repairable=False))

    assert all(action.operator is not Operator.REPAIR for action in actions)
    assert actions[-1].operator is Operator.DRAFT


@every_policy
@every_planner
def test_one_baseline_alone_is_enough_to_start(name, sketch):
    policy = make_policy(name, seed=0, prices=THREE)
    policy.tell(baseline(-1, 1.0))

    for index in range(20):
        action = policy.ask(index, sketch)
        policy.tell(Observation(action=action, node=index, value=1.0, rung=action.rung)) if (
            action.kind == "expand"
        ) else policy.tell(fails(action))


@every_policy
@every_planner
def test_ties_everywhere_are_borne(name, sketch):
    policy = make_policy(name, seed=0, prices=TWO)
    for index in range(100):
        action = policy.ask(index, sketch)
        node = index if action.kind == "expand" else action.parents[0]
        structure = next((one.structure for one in sketch(action, 1)), None)
        policy.tell(Observation(action=action, node=node, value=2.5, rung=action.rung, structure=structure))

    assert len(policy.node_statistics()) > 50


@every_policy
def test_an_index_is_asked_once_and_answered_once(name):
    policy = make_policy(name, seed=0, prices=ONE)
    action = policy.ask(0)

    with pytest.raises(ValueError, match="asked before"):
        policy.ask(0)
    policy.tell(Observation(action=action, node=0, value=1.0))
    with pytest.raises(ValueError, match="not waiting for a result"):
        policy.tell(Observation(action=action, node=0, value=1.0))


@every_policy
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"node": 7}, "about node 0"),
        ({"rung": 5}, "rung 5 does not exist"),
        ({"action": None}, "a baseline's node is negative"),
    ],
)
def test_an_answer_to_nothing_is_refused_and_changes_nothing(name, change, complaint):
    policy = make_policy(name, seed=0, prices=ONE)
    fields = {"action": policy.ask(0), "node": 0, "value": 1.0}

    with pytest.raises(ValueError, match=complaint):
        policy.tell(Observation(**(fields | change)))

    assert policy.node_statistics() == {}
    policy.tell(Observation(**fields))
    assert list(policy.node_statistics()) == [0]


@every_policy
def test_what_a_campaign_notes_on_an_action_does_not_matter_to_the_search(name):
    policy = make_policy(name, seed=0, prices=ONE)
    noted = policy.ask(0).model_copy(update={"told": 3})

    policy.tell(Observation(action=noted, node=0, value=1.0))

    assert policy.node_statistics()[0].visits == 1


@pytest.mark.slow
@every_policy
def test_a_thousand_experiments_cost_less_than_fifty_milliseconds_each(name, play, landscape):
    policy, land = make_policy(name, seed=0, prices=TWO), landscape(seed=0, shown=4)
    play(policy, land, 1000)
    land.shown = 64

    spent = 0.0
    for index in range(1000, 1010):
        sketches = land.sketch(draft(index), 64)
        started = time.process_time()
        action = policy.ask(index, lambda action, count, shown=sketches: shown[:count])
        spent += time.process_time() - started
        observation = land.answer(action)
        started = time.process_time()
        policy.tell(observation)
        spent += time.process_time() - started

    assert spent / 10 < 0.05
