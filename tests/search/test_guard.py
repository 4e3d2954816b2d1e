"""A policy of the user's own is told with what it did wrong, and nothing it does wrong reaches the campaign."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from netwright.errors import PolicyError
from netwright.search.guard import GuardedPolicy
from netwright.search.policy import NodeStatistics, Observation
from netwright.types import Action, Operator


class Answers:
    """A policy that answers every ask with what it was made with."""

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self._answer = answer

    def ask(self, index: int, sketch: Any = None) -> Any:
        return self._answer(index)

    def resume(self, action: Action, structure: Any = None) -> None:
        pass

    def tell(self, observation: Observation) -> None:
        pass

    def node_statistics(self) -> Mapping[int, NodeStatistics]:
        return {}

    def preferences(self) -> Any:
        return {"rule.kind": {"delta": 1.4}}


def guarded(answer: Callable[[int], Any]) -> GuardedPolicy:
    """Two baselines with results (-1 at rung 1 too), a dead one, a failed draft 0 and a draft 1 in flight."""
    policy = GuardedPolicy(Answers(answer), name="policy file mine.py", rungs=2)
    for node, value in ((-1, 1.0), (-2, 2.0), (-3, None)):
        policy.tell(Observation(action=None, node=node, value=value))
    for index in (0, 1):
        policy.resume(action(index))
    policy.tell(Observation(action=action(0), node=0, value=None))
    policy.resume(Action(index=2, kind="promote", parents=(-1,), rung=1))
    return policy


def action(index: int, operator: Operator | None = Operator.DRAFT, *parents: int, **more: Any) -> Action:
    return Action(**{"index": index, "kind": "expand", "operator": operator, "parents": parents} | more)


def promotion(index: int, node: int, rung: int) -> Action:
    return Action(index=index, kind="promote", parents=(node,), rung=rung)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda index: None, "a NoneType, expected an Action"),
        (lambda index: "refine", "a str, expected an Action"),
        (lambda index: Action.model_construct(index="one", kind="expand"), "an Action whose index is 'one'"),
        (lambda index: action(index - 1), "an Action of index 2: every index is asked once"),
        (lambda index: action(index, None), "the operator None, expected one of draft, refine"),
        (lambda index: action(index, Operator.BASELINE), "the operator baseline"),
        (lambda index: action(index, Operator.DRAFT, -1), "parents (-1,) for draft, which takes 0"),
        (lambda index: action(index, Operator.REFINE), "parents () for refine, which takes 1"),
        (
            lambda index: action(index, Operator.COMBINE, -1, -1),
            "parents (-1, -1) for combine, which takes 2 different",
        ),
        (lambda index: action(index, Operator.REFINE, 99), "parent 99, which is no node"),
        (lambda index: action(index, Operator.REFINE, 1), "parent 1, which is no node"),
        (lambda index: action(index, Operator.REFINE, 0), "parent 0, which has no result"),
        (lambda index: action(index, Operator.REFINE, -3), "parent -3, which has no result"),
        (lambda index: action(index, Operator.REPAIR, -1), "a repair of node -1, where nothing is to be mended"),
        (lambda index: action(index, Operator.REFINE, -1, rung=1), "rung 1 for a new design"),
        (lambda index: action(index, draw=-1), "draw -1, expected that of a sketch"),
        (lambda index: action(index, closing=True), "an Action that sets told or closing"),
        (lambda index: promotion(index, -2, 0), "a promotion to rung 0, the rungs above the lowest are 1 to 1"),
        (lambda index: promotion(index, -2, 2), "a promotion to rung 2"),
        (lambda index: promotion(index, 99, 1), "a promotion of node 99, which has no result"),
        (lambda index: promotion(index, 0, 1), "a promotion of node 0, which has no result"),
        (lambda index: promotion(index, -1, 1), "a promotion of node -1 to rung 1, where it was or is trained"),
        (lambda index: Action(index=index, kind="promote", rung=1), "a promotion of (), expected one node"),
    ],
)
def test_an_answer_that_cannot_be_carried_out_is_told_in_a_sentence(answer, complaint):
    with pytest.raises(PolicyError, match=re.escape(f"policy file mine.py answered ask(3) with {complaint}")) as raised:
        guarded(answer).ask(3)

    assert str(raised.value).endswith("nothing is lost: mend it, then go on with `netwright resume`")


@pytest.mark.parametrize(
    "answer",
    [
        action(3),
        action(3, Operator.REFINE, -2),
        action(3, Operator.COMBINE, -1, -2),
        action(3, Operator.REPAIR, 0),
        action(3, draw=5),
        promotion(3, -2, 1),
    ],
)
def test_what_can_be_carried_out_passes_unchanged(answer):
    assert guarded(lambda index: answer).ask(3) == answer


def broken(index: int) -> Action:
    raise [ZeroDivisionError("by nought"), SystemExit(3)][index % 2]


def test_what_a_policy_raises_is_told_with_where_it_was_raised():
    with pytest.raises(PolicyError, match=r"raised SystemExit in ask\(3\): 3 \(.*test_guard\.py, line \d+\)"):
        guarded(broken).ask(3)
    with pytest.raises(PolicyError, match=r"raised ZeroDivisionError in ask\(4\): by nought"):
        guarded(broken).ask(4)


@pytest.mark.parametrize("method", ["tell", "resume", "node_statistics", "preferences"])
def test_whichever_method_raises_it_is_named(method, monkeypatch):
    def raises(*_: object) -> None:
        raise KeyError("lost")

    policy = guarded(action)
    monkeypatch.setattr(Answers, method, raises)
    calls = {
        "tell": lambda: policy.tell(Observation(action=action(1), node=1, value=1.0)),
        "resume": lambda: policy.resume(action(7)),
        "node_statistics": policy.node_statistics,
        "preferences": policy.preferences,
    }

    with pytest.raises(PolicyError, match=f"mine.py raised KeyError in {method}"):
        calls[method]()


@pytest.mark.parametrize(
    ("statistics", "complaint"),
    [
        (None, "with a NoneType, expected a mapping"),
        ({99: NodeStatistics(visits=1, value=0.5)}, "has statistics of 99, which is no node"),
        ({-1: 0.5}, "has the statistics 0.5 of node -1"),
        ({-1: NodeStatistics(visits=-1, value=0.5)}, "expected NodeStatistics"),
        ({-1: NodeStatistics(visits=1, value=float("nan"))}, "a finite value"),
    ],
)
def test_statistics_that_make_no_sense_are_named(statistics, complaint, monkeypatch):
    policy = guarded(action)
    monkeypatch.setattr(Answers, "node_statistics", lambda self: statistics)

    with pytest.raises(PolicyError, match=complaint):
        policy.node_statistics()


@pytest.mark.parametrize(
    "preferences",
    [None, {"rule.kind": 2.0}, {"rule.kind": {"delta": 0.0}}, {"rule.kind": {"delta": float("inf")}}],
)
def test_preferences_that_are_no_factors_are_named(preferences, monkeypatch):
    policy = guarded(action)
    assert policy.preferences() == {"rule.kind": {"delta": 1.4}}
    monkeypatch.setattr(Answers, "preferences", lambda self: preferences)

    with pytest.raises(PolicyError, match=r"mine.py answered preferences\(\) with .*expected a dictionary"):
        policy.preferences()


def test_a_result_that_answers_nothing_is_the_campaigns_mistake():
    with pytest.raises(ValueError, match="not waiting for a result"):
        guarded(action).tell(Observation(action=action(8), node=8, value=1.0))
