import pytest

from netwright.search.policy import POLICIES, Observation, make_policy
from netwright.search.promotion import PromotionRule
from netwright.search.tree_state import TreeState
from netwright.types import Action, Operator


def state_with(values: dict[int, float], *, rungs: int = 2, error: float = 0.0, asks: int = 0) -> TreeState:
    """Negative nodes are baselines; `asks` further drafts are in flight, which makes room for promotions."""
    state = TreeState(rungs)
    for node, value in values.items():
        action = None
        if node >= 0:
            action = Action(index=node, kind="expand", operator=Operator.DRAFT)
            state.record_ask(action)
        state.record_tell(Observation(action=action, node=node, value=value, standard_error=error))
    for index in range(1000, 1000 + asks):
        state.record_ask(Action(index=index, kind="expand", operator=Operator.DRAFT))
    return state


def promotions(state: TreeState, rule: PromotionRule, limit: int = 20) -> list[tuple[int, int]]:
    """All (node, rung) promoted in a row without an answer."""
    chosen = []
    for index in range(5000 + state.asks, 5000 + state.asks + limit):
        action = rule.choose(state, index)
        if action is None:
            break
        state.record_ask(action)
        chosen.append((action.parents[0], action.rung))
    return chosen


def answer(state: TreeState, node: int, value: float | None, rung: int = 1) -> None:
    action = next(a for a in state.pending.values() if a.kind == "promote" and a.parents == (node,))
    state.record_tell(Observation(action=action, node=node, value=value, rung=rung))


ALWAYS = PromotionRule(prices=(1.0, 1.0, 1.0), share=0.9)


def test_the_top_third_is_promoted_best_first():
    state = state_with({n: float(n) for n in range(9)}, asks=100)

    assert promotions(state, ALWAYS) == [(8, 1), (7, 1), (6, 1)]


@pytest.mark.parametrize(("price", "expected"), [(1.0, 6), (3.0, 2), (9.0, 0)])
def test_promotions_never_take_more_than_their_share_of_the_compute(price, expected):
    state = state_with({n: float(n) for n in range(18)})

    # 6 of 18 + 6, for two promotions at a price of 3 as for six at 1.
    assert len(promotions(state, PromotionRule(prices=(1.0, price), share=0.25))) == expected


def test_only_ratios_of_prices_matter():
    seconds, trainings = (state_with({n: float(n) for n in range(18)}) for _ in range(2))

    assert promotions(seconds, PromotionRule(prices=(40.0, 120.0), share=0.25)) == promotions(
        trainings, PromotionRule(prices=(1.0, 3.0), share=0.25)
    )


def test_a_share_of_zero_or_a_single_rung_means_no_promotion():
    never = PromotionRule(prices=(1.0, 1.0), share=0.0)

    assert promotions(state_with({n: float(n) for n in range(30)}), never) == []
    assert promotions(state_with({n: float(n) for n in range(30)}, rungs=1), ALWAYS) == []


def test_too_few_results_promote_nobody():
    assert promotions(state_with({0: 1.0, 1: 2.0}, asks=50), ALWAYS) == []


def test_a_result_within_its_standard_error_of_the_cut_counts_as_at_the_cut():
    close = state_with({0: 1.0, 1: 0.95, 2: 0.0, 3: 0.0, 4: 0.0}, error=0.1, asks=50)
    clear = state_with({0: 1.0, 1: 0.95, 2: 0.0, 3: 0.0, 4: 0.0}, error=0.01, asks=50)

    assert promotions(close, ALWAYS) == [(0, 1), (1, 1)]
    assert promotions(clear, ALWAYS) == [(0, 1)]


def test_baselines_are_promoted_on_the_same_terms():
    state = state_with({-1: 5.0, -2: 1.0, 0: 2.0, 1: 0.0, 2: 0.0, 3: 0.0}, asks=50)

    assert promotions(state, ALWAYS)[0] == (-1, 1)


def test_once_a_design_has_gone_up_the_two_best_baselines_follow_however_far_behind():
    state = state_with({-1: -9.0, -2: -7.0, -3: -8.0} | {n: float(n) for n in range(9)}, asks=100)

    chosen = promotions(state, ALWAYS)

    assert chosen[0] == (8, 1)
    assert chosen[1:3] == [(-2, 1), (-3, 1)]
    assert (-1, 1) not in chosen


def test_a_baseline_that_fails_at_the_higher_rung_is_replaced_by_the_next():
    state = state_with({-1: -9.0, -2: -7.0, -3: -8.0} | {n: float(n) for n in range(9)}, asks=100)
    assert promotions(state, ALWAYS, limit=2) == [(8, 1), (-2, 1)]

    answer(state, -2, None)

    assert promotions(state, ALWAYS, limit=2) == [(-3, 1), (-1, 1)]


def test_a_node_is_promoted_once_whether_it_is_in_flight_done_or_failed():
    state = state_with({n: float(n) for n in range(9)}, asks=100)
    assert promotions(state, ALWAYS) == [(8, 1), (7, 1), (6, 1)]

    answer(state, 8, 1.0)
    answer(state, 7, None)

    assert promotions(state, ALWAYS) == []


def test_higher_rungs_are_served_first():
    state = state_with({n: float(n) for n in range(12)}, rungs=3, asks=100)
    assert len(promotions(state, ALWAYS)) == 4
    for node, value in {11: 1.0, 10: 3.0, 9: 2.0, 8: 0.0}.items():
        answer(state, node, value)

    assert promotions(state, ALWAYS)[0] == (10, 2)


def test_a_promotion_that_is_too_dear_is_saved_up_for():
    rule = PromotionRule(prices=(1.0, 1.0, 9.0), share=0.5)
    state = state_with({n: float(n) for n in range(12)}, rungs=3)
    assert promotions(state, rule, limit=3) == [(11, 1), (10, 1), (9, 1)]
    for node in (11, 10, 9):
        answer(state, node, float(node))

    # Node 8 could go to rung 1 at once, but (11, 2) comes first: 3 + 9 of the compute is half of it after 12.
    assert promotions(state, rule, limit=1) == [(11, 2)]


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_promotes_within_the_same_bound(name, play, landscape):
    price, share = 3.0, 0.2
    policy = make_policy(name, seed=1, prices=[1.0, price], promotions=share)

    actions = play(policy, landscape(seed=3), 100, flight=2).actions

    promoted = [action for action in actions if action.kind == "promote"]
    assert all(action.rung == 1 and action.operator is None for action in promoted)
    assert 0.05 < price * len(promoted) / (100 + (price - 1) * len(promoted)) <= share


def test_the_tree_promotes_the_less_the_dearer_it_is(play, landscape):
    def designs(price: float) -> int:
        policy = make_policy("tree", seed=1, prices=[1.0, price], promotions=0.9)
        actions = play(policy, landscape(seed=3), 150).actions
        return sum(action.kind == "promote" for action in actions)

    assert designs(1.0) > 2 * designs(3.0) > 0
    assert designs(3.0) > 2 * designs(16.0)
