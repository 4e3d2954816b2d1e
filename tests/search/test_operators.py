from collections import Counter

import numpy as np
import pytest

from netwright.search.operators import PRIOR_MEANS, PROMOTION, OperatorBandit, improvement
from netwright.search.policy import Observation
from netwright.search.tree_state import TreeState
from netwright.types import Action, Operator


def shares(bandit: OperatorBandit, available: set[Operator], novelty: float = 1.0) -> Counter[Operator]:
    rng = np.random.default_rng(0)
    return Counter(bandit.choose(rng, available, novelty) for _ in range(2000))


def promoted(bandit: OperatorBandit, *, price: float = 1.0, in_flight: int = 0, novelty: float = 1.0) -> int:
    """How often of 2000 times the bandit goes up rather than on."""
    rng, available = np.random.default_rng(0), {Operator.DRAFT, Operator.REFINE, Operator.COMBINE}
    return sum(bandit.promotes(rng, available, novelty, price=price, in_flight=in_flight) for _ in range(2000))


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


def test_the_dearer_a_promotion_the_rarer():
    at_price = [promoted(OperatorBandit(), price=price) for price in (1.0, 2.0, 4.0, 16.0)]

    assert at_price == sorted(at_price, reverse=True)
    assert at_price[0] > 1000
    assert at_price[3] < 20


def test_promotions_that_find_better_are_made_more_often_and_those_that_do_not_less():
    lucky, idle = OperatorBandit(), OperatorBandit()
    for _ in range(10):
        lucky.update(PROMOTION, 1.0)
        idle.update(PROMOTION, 0.0)

    assert promoted(lucky, price=2.0) > 1.5 * promoted(OperatorBandit(), price=2.0)
    assert promoted(idle, price=2.0) < 0.5 * promoted(OperatorBandit(), price=2.0)


def test_the_search_goes_up_where_new_designs_have_stopped_paying():
    spent = OperatorBandit()
    for _ in range(40):
        for operator in (Operator.DRAFT, Operator.REFINE, Operator.COMBINE):
            spent.update(operator, 0.0)

    assert promoted(spent, price=4.0) > 3 * promoted(OperatorBandit(), price=4.0)
    assert promoted(spent, price=4.0, novelty=3.0) > promoted(spent, price=4.0)


def test_promotions_in_flight_count_as_having_brought_nothing():
    assert promoted(OperatorBandit(), price=2.0, in_flight=6) < 0.5 * promoted(OperatorBandit(), price=2.0)


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


def test_a_promotion_must_beat_the_best_of_its_rung_and_the_first_there_earns_one_half():
    state = TreeState(2)
    for node, value in ((-1, 7.0), (-2, 8.0), (-3, 9.0)):
        told(state, node, value)

    def reward(node: int, value: float | None) -> float:
        action = Action(index=-node, kind="promote", parents=(node,), rung=1)
        state.record_ask(action)
        observation = Observation(action=action, node=node, value=value, rung=1)
        earned = improvement(state, observation)
        state.record_tell(observation)
        return earned

    assert reward(-1, 100.0) == 0.5
    assert reward(-2, 99.0) == 0.0
    assert reward(-3, None) == 0.0
