"""What a policy may answer: the actions that a campaign can carry out in a given state of the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from netwright.search.promotion import reached
from netwright.search.tree_state import TreeState
from netwright.types import Action, Operator

_PARENTS: Mapping[Operator, int] = {
    Operator.DRAFT: 0,
    Operator.REFINE: 1,
    Operator.COMBINE: 2,
    Operator.SIMPLIFY: 1,
    Operator.TUNE: 1,
    Operator.REPAIR: 1,
}
"""How many parents each operator that a search may ask for takes."""


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
