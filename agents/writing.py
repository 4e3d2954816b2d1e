"""What coder and repairer have in common: what they write, in which form, and the proposal that comes of it. Pure."""

from __future__ import annotations

from netwright.agents.replies import Plan
from netwright.prompts import load
from netwright.types import Context, Proposal, Scope

_CLASS_NAMES = {Scope.MIXER: "Mixer", Scope.BLOCK: "Block", Scope.MODEL: "Model"}


def class_name(context: Context) -> str:
    """Return the name of the class that a file for this task defines."""
    return _CLASS_NAMES[context.task.scope]


def form_of(file: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the words that ask for a file, and the prompts they are from.

    `file` says which file search/replace blocks may change; None asks for a whole one.
    """
    if file is None:
        return load("form_file").text.strip(), ("form_file",)
    return load("form_edits").render(edits=load("edits").text.strip(), which=file).strip(), ("form_edits", "edits")


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
