"""What one expansion works on, where it stands, and which step follows which."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypedDict

from langgraph.runtime import Runtime

from netwright.agents.replies import Plan
from netwright.campaign.chronicle import Chronicle
from netwright.evaluator.statistics import NoiseFloor
from netwright.memory.records import ExperimentRecord
from netwright.types import Action, Context, Operator, Proposal, Remembered, Score, Verdict

MOST_ATTEMPTS = 6


class State(TypedDict, total=False):
    """Where an expansion stands. `stage` and `failure` say why it ended without a score.

    `attempt` counts the designs that were made and were known already, `round` the times that plans were asked for
    because of it. `passing` is the design that stands before a person, whose edits come to be `candidate_id`; `asked`
    are the designs about which the person was asked, in that order, and `decision` is what came of the last question.
    """

    attempt: int
    round: int
    repairs: int
    candidate_id: str | None
    operator: str
    changed: str
    duplicate: bool
    rejection: str
    stage: str
    failure: str
    failed_attempts: list[dict[str, str]]
    passing: str
    asked: list[str]
    decision: str


@dataclass
class Work:
    """What one run of the graph works on.

    `told` is what the planner of this round was told; `plans` are what it answered, as far as they were not built yet,
    best first. `screened` is set once this action has its
    design, new and accepted by the gates and by whoever reviews it (or none at all); `after` is the same of the action
    before it, where designs must be compared in order.
    """

    action: Action
    contexts: Chronicle
    told: Context | None = None
    plans: deque[Plan | Proposal] = field(default_factory=deque)
    screened: asyncio.Event = field(default_factory=asyncio.Event)
    after: asyncio.Event | None = None
    started: float = field(default_factory=time.monotonic)
    record: ExperimentRecord | None = None
    place: int = -1
    score: Score | None = None
    verdict: Verdict | None = None
    noise: NoiseFloor | None = None

    def context(self, state: State) -> Context:
        """What its planner is told in the present round."""
        return self.contexts.context(self.action, state["round"])

    def rival(self) -> Remembered | None:
        """Whom the experiment is held against.

        A new design: its first parent where that was trained at the same rung, else the best baseline. A promoted
        design: the best baseline at that rung. A promoted baseline: nobody.
        """
        action = self.action
        if action.kind == "promote" and action.parents[0] < 0:
            return None
        if action.kind == "expand" and action.parents:
            parent = self.contexts.node(action.parents[0])
            if parent.score is not None and parent.score.rung >= action.rung:
                return parent
        return self.contexts.best_baseline(action.rung) or self.contexts.best_baseline()


def begun() -> State:
    """Where every expansion begins."""
    return State(
        attempt=0, round=0, repairs=0, failed_attempts=[], changed="", stage="", failure="", passing="", asked=[]
    )


def ended(stage: str, failure: str) -> State:
    """An expansion that ends without a score."""
    return State(stage=stage, failure=failure)


def tried(state: State, owner: int, work: Work) -> State:
    """Go on to another design, or give up: this one was a design of `owner`. Whose edit it was is told."""
    if state["passing"]:
        return State(duplicate=True, rejection=f"novelty: this is the design of {_named(owner)}")
    attempt = state["attempt"] + 1
    if attempt < MOST_ATTEMPTS:
        return State(duplicate=True, attempt=attempt, round=state["round"] + (not work.plans))
    return State(
        duplicate=True,
        candidate_id=None,
        stage="novelty",
        failure=f"{MOST_ATTEMPTS} proposals in a row were designs that had been tried; the last one is that of "
        f"{_named(owner)}: propose something structurally different",
    )


def _named(owner: int) -> str:
    return "a baseline" if owner < 0 else f"experiment {owner}"


# Routes are coroutines, as LangGraph has plain functions run by a thread.


async def entry(state: State, runtime: Runtime[Work]) -> str:
    return "train" if runtime.context.action.kind == "promote" else "plan"


def unless_failed(following: str) -> Callable[[State], Awaitable[str]]:
    async def route(state: State) -> str:
        return "judge" if state["failure"] else following

    return route


async def after_screen(state: State, runtime: Runtime[Work]) -> str:
    if state["failure"]:
        return "judge"
    if state["duplicate"]:
        return "review" if state["passing"] else "code" if runtime.context.plans else "plan"
    return "gate"


async def after_gate(state: State, runtime: Runtime[Work]) -> str:
    if state["duplicate"]:
        return await after_screen(state, runtime)
    if not state["rejection"]:
        return "passed"
    if state["passing"]:
        return "review"
    return "judge" if state["failure"] else "repair"


async def after_review(state: State) -> str:
    return state["decision"]


def purpose(action: Action, operator: Operator) -> str:
    """What a training is shown to be for."""
    return f"promote to rung {action.rung}" if action.kind == "promote" else operator.value
