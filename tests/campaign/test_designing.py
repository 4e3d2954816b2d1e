"""The steps that ask the agents: plans in the order of their rank, the next one where one is known already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from langgraph.runtime import Runtime

from netwright.agents.base import Team
from netwright.agents.replies import Plan
from netwright.campaign.chronicle import Chronicle
from netwright.campaign.designing import Designer
from netwright.campaign.work import MOST_ATTEMPTS, State, Work, after_screen, begun, tried
from netwright.errors import MalformedReply, ProviderError
from netwright.evaluator.tasks import load_task
from netwright.memory.store import Memory
from netwright.types import Action, Candidate, Context, Operator, Proposal, Scope, Score, Verdict

TASK = load_task("recall").spec
TITLES = ("gate", "delta", "copy")


class Planner:
    name = "scripted"

    async def plan(self, context: Context) -> Sequence[Plan | Proposal]:
        return [Plan(title=f"{title} {context.attempt}", hypothesis="It helps.") for title in TITLES]


class Coder:
    async def write(self, context: Context, plan: Plan) -> Proposal:
        if plan.title.startswith("copy"):
            raise MalformedReply("no file")
        return Proposal(title=plan.title, hypothesis="", source=f"# {plan.title}", origin="llm:m", changed="all")


class Repairer:
    def __init__(self, answer: Proposal | ProviderError | None) -> None:
        self.answer = answer
        self.told = ""

    async def repair(self, context: Context, failed: Proposal, failure: str) -> Proposal | None:
        self.told = failure
        if isinstance(self.answer, ProviderError):
            raise self.answer
        return self.answer


class Critic:
    async def weigh(self, context: Context, plans: Sequence[Plan]) -> Sequence[float] | None:
        return [float(number) for number, _ in enumerate(plans)]

    async def comment(self, context: Context, candidate: Candidate, score: Score | None, verdict: Verdict) -> Verdict:
        return verdict


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def work() -> Work:
    return Work(
        action=Action(index=0, kind="expand", operator=Operator.DRAFT),
        contexts=Chronicle(TASK, 0, mixer_parameters=1000),
    )


def designer(memory: Memory, repair: Proposal | ProviderError | None = None, critic: Critic | None = None) -> Designer:
    team = Team(planner=Planner(), repairer=Repairer(repair), coder=Coder(), critic=critic)
    return Designer(team, memory, Scope.MIXER, library=None)


async def designed(steps: Designer, work: Work, state: State) -> State:
    """Go from a plan to a file, as the graph does."""
    runtime = Runtime(context=work)
    for step in (steps.plan, steps.rank, steps.code):
        state = state | await step(state, runtime)
    return state


def test_the_best_plan_is_written_and_kept_as_a_candidate(memory: Memory, work: Work) -> None:
    state = asyncio.run(designed(designer(memory), work, begun()))

    assert state["candidate_id"] is not None
    assert memory.candidate(state["candidate_id"]).title == "gate 0"
    assert (state["operator"], state["changed"], state["failure"]) == ("draft", "all", "")
    assert [plan.title for plan in work.plans] == ["delta 0", "copy 0"]


def test_where_a_design_is_known_the_next_plan_is_written_and_only_then_others_are_asked_for(
    memory: Memory, work: Work
) -> None:
    state = asyncio.run(designed(designer(memory), work, begun()))
    runtime, routes = Runtime(context=work), []

    for _ in range(3):
        state = state | tried(state, -1, work)
        routes.append(asyncio.run(after_screen(state, runtime)))
        if work.plans:
            work.plans.popleft()

    assert routes == ["code", "code", "plan"]
    assert (state["attempt"], state["round"]) == (3, 1)
    again = asyncio.run(designed(designer(memory), work, state))
    assert memory.candidate(str(again["candidate_id"])).title == "gate 1", "the planner is told that it asks anew"


def test_an_expansion_gives_up_after_so_many_known_designs(work: Work) -> None:
    state = begun()
    for _ in range(MOST_ATTEMPTS):
        state = state | tried(state, 4, work)

    assert (state["stage"], state["candidate_id"]) == ("novelty", None)
    assert "the last one is that of experiment 4" in state["failure"]
    assert asyncio.run(after_screen(state, Runtime(context=work))) == "judge"


def test_the_critics_favourite_is_tried_first_and_a_coder_that_fails_is_named(memory: Memory, work: Work) -> None:
    state = asyncio.run(designed(designer(memory, critic=Critic()), work, begun()))

    assert state["stage"] == "coder: unusable reply"
    assert state["failure"] == "copy 0: no file"


@pytest.mark.parametrize(
    ("answer", "stage"),
    [
        (None, "gate: shapes"),
        (ProviderError("gone"), "repairer: no reply"),
        (MalformedReply("?"), "repairer: unusable reply"),
    ],
)
def test_what_cannot_be_mended_ends_with_its_cause(
    memory: Memory, work: Work, answer: ProviderError | None, stage: str
) -> None:
    steps = designer(memory, repair=answer)
    state = asyncio.run(designed(steps, work, begun())) | State(rejection="shapes: (1, 2) came back")

    ended = asyncio.run(steps.repair(state, Runtime(context=work)))

    assert ended["stage"] == stage
    assert ended["failure"] == ("(1, 2) came back" if answer is None else str(answer))


def test_a_mended_design_takes_the_place_of_the_one_that_failed_which_is_kept(memory: Memory, work: Work) -> None:
    mended = Proposal(title="gate", hypothesis="", source="# mended", origin="llm:m")
    steps = designer(memory, repair=mended)
    state = asyncio.run(designed(steps, work, begun())) | State(rejection="shapes: (1, 2) came back")

    after = state | asyncio.run(steps.repair(state, Runtime(context=work)))

    assert memory.candidate(str(after["candidate_id"])).source == "# mended"
    assert (after["operator"], after["repairs"]) == ("repair", 1)
    (attempt,) = after["failed_attempts"]
    assert attempt == {"candidate_id": state["candidate_id"], "stage": "gate: shapes", "failure": "(1, 2) came back"}
