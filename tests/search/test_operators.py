from collections import Counter

import numpy as np
import pytest

from netwright.search.operators import PRIOR_MEANS, OperatorBandit, improvement
from netwright.search.policy import Observation
from netwright.search.tree_state import TreeState
from netwright.types import Action, Operator


def shares(bandit: OperatorBandit, available: set[Operator], novelty: float = 1.0) -> Counter[Operator]:
    rng = np.random.default_rng(0)
    return Counter(bandit.choose(rng, available, novelty) for _ in range(2000))


def told(state: TreeState, node: int, value: float | None, error: float = 0.0) -> None:
    state.record_tell(Observation(action=None, node=node, value=value, standard_error=error))


def child(value: float | None, parents: tuple[int, ...], error: float = 0.0) -> Observation:
    action = Action(index=0, kind="expand", operator=Operator.REFINE, parents=parents)
    return Observation(action=action, node=0, value=value, standard_error=error)


def test_at_the_start_refining_and_combining_lead_and_none_is_left_out():
    chosen = shares(OperatorBandit(), set(PRIOR_MEANS))

    assert chosen[Operator.REFINE] > chosen[Operator.COMBINE] > chosen[Operator.DRAFT]
    assert min(chosen[operator] for operator in PRIOR_MEANS) > 20


def test_an_operator_that_improves_is_chosen_more_and_one_that_never_does_less_but_never_never():
    bandit = OperatorBandit()
    for _ in range(40):
        bandit.update(Operator.SIMPLIFY, 1.0)
        bandit.update(Operator.REFINE, 0.0)

    chosen = shares(bandit, {Operator.SIMPLIFY, Operator.REFINE, Operator.DRAFT})

    assert chosen[Operator.SIMPLIFY] > 1700
    assert chosen[Operator.REFINE] > 20


def test_old_evidence_fades_so_that_an_operator_can_come_back():
    bandit = OperatorBandit()
    for _ in range(60):
        bandit.update(Operator.REFINE, 0.0)
    alternatives = {Operator.REFINE, Operator.COMBINE}
    worst = shares(bandit, alternatives)[Operator.REFINE]
    for _ in range(30):
        bandit.update(Operator.REFINE, 0.5)

    assert shares(bandit, alternatives)[Operator.REFINE] > 4 * worst


def test_only_what_is_available_is_chosen():
    assert set(shares(OperatorBandit(), {Operator.DRAFT, Operator.REPAIR})) == {
        Operator.DRAFT,
        Operator.REPAIR,
    }


def test_novelty_raises_the_share_of_drafts_and_combinations():
    usual = shares(OperatorBandit(), set(PRIOR_MEANS))
    stale = shares(OperatorBandit(), set(PRIOR_MEANS), novelty=3.0)

    assert stale[Operator.DRAFT] > 1.5 * usual[Operator.DRAFT]
    assert stale[Operator.REFINE] < usual[Operator.REFINE]


@pytest.mark.parametrize(
    ("value", "error", "low", "high"),
    [
        (None, 0.0, 0.0, 0.0),
        (0.9, 0.0, 0.0, 0.0),
        (1.0, 0.0, 0.0, 0.0),
        (1.1, 0.0, 1.0, 1.0),
        (1.1, 0.1, 0.6, 0.8),
    ],
)
def test_the_reward_is_the_confidence_that_the_child_beats_its_parent(value, error, low, high):
    state = TreeState(1)
    told(state, -1, 1.0)

    assert low <= improvement(state, child(value, (-1,), error)) <= high


def test_a_combination_must_beat_the_better_of_its_parents():
    state = TreeState(1)
    told(state, -1, 1.0)
    told(state, -2, 3.0)

    assert improvement(state, child(2.0, (-1, -2))) == 0.0
    assert improvement(state, child(4.0, (-1, -2))) == 1.0


def test_a_draft_must_beat_the_best_that_is_known():
    state = TreeState(1)
    for node in range(1, 6):
        told(state, -node, float(node))

    assert improvement(state, child(4.5, ())) == 0.0
    assert improvement(state, child(5.5, ())) == 1.0


def test_a_repair_must_beat_the_parents_of_what_it_repairs():
    state = TreeState(1)
    told(state, -1, 1.0)
    told(state, -2, 9.0)
    broken = Action(index=5, kind="expand", operator=Operator.REFINE, parents=(-1,))
    state.record_ask(broken)
    state.record_tell(Observation(action=broken, node=5, value=None))
    mending = Action(index=6, kind="expand", operator=Operator.REPAIR, parents=(5,))

    assert improvement(state, Observation(action=mending, node=6, value=2.0)) == 1.0
    assert improvement(state, Observation(action=mending, node=6, value=0.5)) == 0.0
