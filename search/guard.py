"""A policy of the user's own under guard: whatever it raises or answers, the campaign ends with a sentence.

Nothing is repaired in silence: a search in which some choices are not the policy's own would pass for its work. All
that was asked and found until then is in the memory, and goes on from there once the policy is mended.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from netwright.errors import PolicyError
from netwright.search.policy import NodeStatistics, Observation, Policy, Sketcher, no_sketches
from netwright.search.promotion import reached
from netwright.search.tree_state import TreeState
from netwright.types import Action, Operator, Structure

_PARENTS: Mapping[Operator, int] = {
    Operator.DRAFT: 0,
    Operator.REFINE: 1,
    Operator.COMBINE: 2,
    Operator.SIMPLIFY: 1,
    Operator.TUNE: 1,
    Operator.REPAIR: 1,
}
"""How many parents each operator that a search may ask for takes."""

T = TypeVar("T")


class GuardedPolicy:
    """The policy `inner`, which errors call `name`, and whose every answer is checked against what is known.

    Every method raises PolicyError for what the policy raises or answers wrongly.
    """

    def __init__(self, inner: Policy, *, name: str, rungs: int) -> None:
        self._inner = inner
        self._name = name
        self._state = TreeState(rungs)

    def ask(self, index: int, sketch: Sketcher = no_sketches) -> Action:
        answer = self._call(f"ask({index})", lambda: self._inner.ask(index, sketch))
        complaint = fault(self._state, index, answer)
        if complaint:
            raise self._error(f"answered ask({index}) with {complaint}")
        self._state.record_ask(answer)
        return answer

    def resume(self, action: Action, structure: Structure | None = None) -> None:
        self._state.record_ask(action)
        self._call(f"resume of action {action.index}", lambda: self._inner.resume(action, structure))

    def tell(self, observation: Observation) -> None:
        # First: what answers nothing is the campaign's mistake, not the policy's.
        self._state.record_tell(observation)
        self._call(f"tell about node {observation.node}", lambda: self._inner.tell(observation))

    def node_statistics(self) -> Mapping[int, NodeStatistics]:
        answer = self._call("node_statistics()", self._inner.node_statistics)
        if not isinstance(answer, Mapping):
            raise self._error(f"answered node_statistics() with a {type(answer).__name__}, expected a mapping by node")
        for node, statistics in answer.items():
            if node not in self._state.nodes:
                raise self._error(f"has statistics of {node!r}, which is no node that it was told of")
            if not _is_sound(statistics):
                raise self._error(
                    f"has the statistics {statistics!r} of node {node}, expected NodeStatistics with visits of at "
                    "least 0 and a finite value"
                )
        return answer

    def _call(self, what: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except (Exception, SystemExit) as error:
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{frames[-1].filename}, line {frames[-1].lineno}"
            raise self._error(f"raised {type(error).__name__} in {what}: {error} ({where})") from error

    def _error(self, complaint: str) -> PolicyError:
        return PolicyError(f"{self._name} {complaint}; nothing is lost: mend it, then go on with `netwright resume`")


def fault(state: TreeState, index: int, answer: Any) -> str:
    """Return what is wrong with an answer to `ask(index)`, as the rest of a sentence; "" where it can be done."""
    if not isinstance(answer, Action):
        return f"a {type(answer).__name__}, expected an Action"
    try:
        Action.model_validate(answer.model_dump(warnings=False))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"an Action whose {'.'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}"
    if answer.index != index:
        return f"an Action of index {answer.index}: every index is asked once"
    if answer.told or answer.closing:
        return "an Action that sets told or closing, which are the campaign's own"
    if answer.draw < 0:
        return f"draw {answer.draw}, expected that of a sketch, or 0"
    return _promotion_fault(state, answer) if answer.kind == "promote" else _expansion_fault(state, answer)


def _expansion_fault(state: TreeState, action: Action) -> str:
    operator, parents = action.operator, action.parents
    if operator is None or operator not in _PARENTS:
        return f"the operator {operator}, expected one of {', '.join(_PARENTS)}"
    if len(parents) != _PARENTS[operator] or len(set(parents)) != len(parents):
        return f"parents {parents} for {operator.value}, which takes {_PARENTS[operator]} different ones"
    if action.rung:
        return f"rung {action.rung} for a new design, which begins at rung 0"
    for parent in parents:
        if parent not in state.nodes:
            return f"parent {parent}, which is no node that it was told of"
        if operator is Operator.REPAIR and parent not in state.unrepaired:
            return f"a repair of node {parent}, where nothing is to be mended"
        if operator is not Operator.REPAIR and not state.nodes[parent].alive:
            return f"parent {parent}, which has no result"
    return ""


def _promotion_fault(state: TreeState, action: Action) -> str:
    if len(action.parents) != 1:
        return f"a promotion of {action.parents}, expected one node"
    node = action.parents[0]
    if node not in state.nodes or not state.nodes[node].alive:
        return f"a promotion of node {node}, which has no result"
    if not 1 <= action.rung < state.rungs:
        return f"a promotion to rung {action.rung}, the rungs above the lowest are 1 to {state.rungs - 1}"
    if node in reached(state, action.rung):
        return f"a promotion of node {node} to rung {action.rung}, where it was or is trained"
    return ""


def _is_sound(statistics: Any) -> bool:
    return (
        isinstance(statistics, NodeStatistics)
        and isinstance(statistics.visits, int)
        and statistics.visits >= 0
        and isinstance(statistics.value, float | int)
        and math.isfinite(statistics.value)
    )
