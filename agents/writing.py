"""What coder and repairer have in common: the name of the class they write, and the proposal that comes of it. Pure."""

from __future__ import annotations

from netwright.agents.replies import Plan
from netwright.types import Context, Proposal, Scope

_CLASS_NAMES = {Scope.MIXER: "Mixer", Scope.BLOCK: "Block", Scope.MODEL: "Model"}


def class_name(context: Context) -> str:
    """Return the name of the class that a file for this task defines."""
    return _CLASS_NAMES[context.task.scope]


def written(plan: Plan, source: str, model: str) -> Proposal:
    """Join a plan and the file that `model` wrote of it."""
    expected = f" Expected: {plan.expected_effect}" if plan.expected_effect else ""
    return Proposal(
        title=plan.title,
        hypothesis=plan.hypothesis + expected,
        source=source,
        origin=f"llm:{model}",
        changed=plan.changes,
    )
