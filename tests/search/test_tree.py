from collections import Counter

import numpy as np

from netwright.search.policy import Observation, make_policy
from netwright.search.tree import TreePolicy, TreeSettings
from netwright.types import Action, Operator, Structure


def with_baselines(*values: float, seed: int = 0, **settings: float) -> TreePolicy:
    chosen = TreeSettings(**({"first_drafts": 0} | settings))
    policy = TreePolicy(seed=seed, prices=[1.0], promotions=0.0, settings=chosen)
    for place, value in enumerate(values, start=1):
        policy.tell(Observation(action=None, node=-place, value=value, standard_error=0.01))
    return policy


def asked(policy: TreePolicy, count: int, start: int = 0) -> list[Action]:
    return [policy.ask(index) for index in range(start, start + count)]


def test_the_first_actions_are_mostly_drafts_and_later_ones_are_not(play, landscape):
    first, later = Counter(), Counter()
    for seed in range(20):
        actions = play(make_policy("tree", seed=seed, prices=[1.0]), landscape(seed=seed), 60).actions
        first.update(action.operator for action in actions[:6])
        later.update(action.operator for action in actions[30:])

    assert first[Operator.DRAFT] / sum(first.values()) > 0.5
    assert 0.02 < later[Operator.DRAFT] / sum(later.values()) < 0.35
    assert (later[Operator.REFINE] + later[Operator.COMBINE]) / sum(later.values()) > 0.45


def test_the_better_of_two_baselines_is_grown_more_but_the_other_is_not_forgotten():
    parents = Counter(action.parents[0] for action in asked(with_baselines(1.0, 2.0), 12) if action.parents)

    assert parents[-2] > parents[-1] > 0


def test_work_in_flight_spreads_over_the_tree():
    parents = Counter(
        action.parents[0] for action in asked(with_baselines(*np.linspace(0, 1, 8)), 24) if action.parents
    )

    assert len(parents) >= 5


def test_a_node_gets_no_more_children_than_widening_allows():
    policy = with_baselines(1.0, widening=1.0, widening_power=0.5)

    actions = asked(policy, 30)

    assert sum(action.parents == (-1,) for action in actions) == 1
    assert sum(action.operator is Operator.DRAFT for action in actions) == 29


def test_widening_gives_a_better_node_more_children():
    policy = with_baselines(*range(10))

    parents = Counter(action.parents[0] for action in asked(policy, 200) if action.parents)

    assert parents[-10] > parents[-1] >= 1


def test_a_node_whose_children_keep_failing_closes():
    policy = with_baselines(1.0, 2.0, patience=3, widening=50.0)
    grown = Counter()
    for index in range(60):
        action = policy.ask(index)
        grown.update(action.parents[:1])
        policy.tell(Observation(action=action, node=index, value=None, repairable=False))

    assert grown == {-1: 3, -2: 3}


def test_a_success_in_between_keeps_a_node_open():
    policy = with_baselines(1.0, patience=3, widening=50.0)
    grown = 0
    for index in range(40):
        action = policy.ask(index)
        of_baseline = action.parents[:1] == (-1,)
        grown += of_baseline
        value = 0.5 if of_baseline and grown % 3 == 0 else None
        policy.tell(Observation(action=action, node=index, value=value, repairable=False))

    assert grown > 6


def test_a_failed_training_is_repaired_at_most_once_and_a_repair_never():
    policy = make_policy("tree", seed=1, prices=[1.0])
    repaired = []
    for index in range(120):
        action = policy.ask(index)
        if action.operator is Operator.REPAIR:
            repaired.append((action.index, action.parents[0]))
        policy.tell(Observation(action=action, node=index, value=None))

    mended = [parent for _, parent in repaired]
    assert len(mended) > 10
    assert len(set(mended)) == len(mended)
    assert not set(mended) & {index for index, _ in repaired}


def test_the_failure_with_the_best_parent_is_repaired_first():
    policy = with_baselines(0.0, 9.0)
    failed: dict[int, Action] = {}
    for index in range(100):
        action = policy.ask(index)
        if action.operator is Operator.REPAIR:
            chosen = failed[action.parents[0]]
            best = max((a.parents[:1] for a in failed.values() if a.parents), default=())
            assert chosen.parents[:1] in {(-2,), best}
            return
        if action.operator in (Operator.REFINE, Operator.COMBINE) and action.parents[0] in (-1, -2):
            failed[index] = action
            policy.tell(Observation(action=action, node=index, value=None))
            if -1 not in {a.parents[0] for a in failed.values()}:
                continue
    raise AssertionError("nothing was ever repaired")


def test_combination_prefers_a_partner_of_other_blood():
    policy = with_baselines(1.0, 1.0, widening=50.0)
    line = {-1: -1, -2: -2}
    kin = strangers = 0
    for index in range(400):
        action = policy.ask(index)
        if action.operator is Operator.COMBINE and len(line) == 12:
            first, second = (line[parent] for parent in action.parents)
            kin += first == second
            strangers += first != second
        value = None
        if action.operator is Operator.REFINE:
            of = line[action.parents[0]]
            if list(line.values()).count(of) < 6:
                line[index], value = of, 1.0
        policy.tell(Observation(action=action, node=index, value=value, repairable=False))

    assert strangers > 1.3 * kin > 0


def test_the_best_of_a_kind_is_a_partner_though_others_are_better():
    def kind(name: str) -> Structure:
        return Structure(choices={"layers.0.kind": name, "layers.1.kind": name})

    settings = TreeSettings(first_drafts=0, widening=50.0, patience=1000, partners=3)
    policy = TreePolicy(seed=0, prices=[1.0], promotions=0.0, settings=settings)
    for node in range(-10, 0):
        structure = kind("delta" if node == -5 else "attention")
        policy.tell(Observation(action=None, node=node, value=float(-node), standard_error=0.01, structure=structure))

    partners = {action.parents[1] for action in asked(policy, 200) if action.operator is Operator.COMBINE}

    assert -5 in partners
    assert partners <= {-10, -9, -8, -5}


def test_recipes_alone_are_tuned_rarely_and_each_node_once(play, landscape):
    actions = play(make_policy("tree", seed=2, prices=[1.0]), landscape(seed=2), 300).actions

    tuned = [action.parents[0] for action in actions if action.operator is Operator.TUNE]
    assert 0 < len(tuned) <= 24
    assert len(set(tuned)) == len(tuned)


def test_stagnation_brings_more_drafts_and_combinations():
    def novel(patience: int) -> int:
        count = 0
        for seed in range(10):
            policy = with_baselines(1.0, 2.0, 3.0, seed=seed, widening=50.0, stagnation=patience)
            for index in range(60):
                action = policy.ask(index)
                count += action.operator in (Operator.DRAFT, Operator.COMBINE)
                policy.tell(Observation(action=action, node=index, value=0.5))
        return count

    assert novel(patience=5) > 1.3 * novel(patience=1000)


def test_statistics_count_the_subtree_and_value_the_best_line_highest():
    policy = with_baselines(1.0, 2.0)
    for index in range(40):
        action = policy.ask(index)
        line = action.parents[0] if action.parents else None
        policy.tell(Observation(action=action, node=index, value=5.0 if line == -2 else 0.0))

    statistics = policy.node_statistics()

    assert len(statistics) == 42
    assert statistics[-2].visits > 1
    assert max(statistics, key=lambda node: statistics[node].value) >= 0
    assert statistics[-2].value > statistics[-1].value
    assert all(0.0 <= item.value <= 1.0 for item in statistics.values())


def test_a_promoted_node_that_disappoints_hands_its_place_to_one_that_does_not():
    policy = TreePolicy(seed=0, prices=[1.0, 3.0], promotions=0.0)
    for node, value in {-1: 1.0, -2: 2.0, -3: 0.0}.items():
        policy.tell(Observation(action=None, node=node, value=value))
    before = policy.node_statistics()

    policy.tell(Observation(action=None, node=-1, value=30.0, rung=1))
    policy.tell(Observation(action=None, node=-2, value=20.0, rung=1))

    after = policy.node_statistics()
    assert after[-1].value == before[-2].value
    assert after[-2].value == before[-1].value
    assert after[-3].value == before[-3].value


def test_decisions_that_lead_to_good_designs_are_preferred_and_the_control_stays_as_it_is():
    policies = {name: make_policy(name, seed=0, prices=[1.0]) for name in ("tree", "random")}
    for policy in policies.values():
        for node in range(1, 13):
            kind = "delta" if node % 2 else "hebbian"
            structure = Structure(choices={"even.body.rule.kind": kind})
            value = -1.0 if kind == "delta" else -2.0
            policy.tell(Observation(action=None, node=-node, value=value, structure=structure))

    preferences = policies["tree"].preferences()["rule.kind"]

    assert preferences["delta"] > 1.2
    assert preferences["hebbian"] < 0.8
    assert policies["random"].preferences() == {}


def test_a_design_that_fails_speaks_against_its_decisions():
    policy = make_policy("tree", seed=0, prices=[1.0])
    for node, value in ((-1, 1.0), (-2, 1.0), (-3, None), (-4, None)):
        kind = "attention" if value else "recurrence"
        structure = Structure(choices={"even.body.kind": kind})
        policy.tell(Observation(action=None, node=node, value=value, structure=structure))

    preferences = policy.preferences()["kind"]

    assert preferences["recurrence"] < 1 < preferences["attention"]
