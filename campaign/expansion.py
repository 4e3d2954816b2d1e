"""One action of the search, from the question to the record: a LangGraph graph of small, repeatable steps.

    propose -> screen -> gate -> train -> judge -> remember
       ^         |         |
       +- again -+         +-> repair -> screen

The state holds ids and counters; code, reports and curves are in the memory. Every step looks there first, so that
what was finished is not done twice whatever killed the process in between.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from netwright.agents.base import Critic, Planner
from netwright.campaign.board import Board
from netwright.campaign.chronicle import Chronicle
from netwright.campaign.library import Library
from netwright.campaign.novelty import Novelty
from netwright.campaign.slots import Slots
from netwright.errors import CapReached, MalformedReply, ProviderError
from netwright.evaluator.laboratory import Examination
from netwright.evaluator.statistics import NoiseFloor, score_of
from netwright.evaluator.verdict import judge
from netwright.memory.records import Attempt, ExperimentRecord
from netwright.memory.store import Memory
from netwright.portrait import Portrait
from netwright.types import (
    Action,
    Candidate,
    Context,
    GateReport,
    Operator,
    Proposal,
    Remembered,
    Score,
    Split,
    Trial,
    TrialStatus,
    Verdict,
)

MOST_ATTEMPTS = 6
SEARCH_SEED = 0
RECURSION_LIMIT = 60


class State(TypedDict, total=False):
    """Where an expansion stands. `stage` and `failure` say why it ended without a score."""

    attempt: int
    repairs: int
    candidate_id: str | None
    operator: str
    changed: str
    duplicate: bool
    rejection: str
    stage: str
    failure: str
    failed_attempts: list[dict[str, str]]


@dataclass
class Work:
    """What one run of the graph works on.

    `screened` is set once this action has its design, new and accepted by the gates (or none at all); `after` is the
    same of the action before it, where designs must be compared in order.
    """

    action: Action
    contexts: Chronicle
    screened: asyncio.Event = field(default_factory=asyncio.Event)
    after: asyncio.Event | None = None
    started: float = field(default_factory=time.monotonic)
    record: ExperimentRecord | None = None
    place: int = -1
    score: Score | None = None
    verdict: Verdict | None = None
    noise: NoiseFloor | None = None

    def context(self, attempt: int) -> Context:
        return self.contexts.context(self.action, attempt)


class Expander:
    """Carries out actions. Holds what all expansions of a campaign share."""

    def __init__(
        self,
        *,
        campaign_id: int,
        memory: Memory,
        slots: Slots,
        planner: Planner,
        critic: Critic | None,
        board: Board,
        repairs: int,
        library: Library | None,
    ) -> None:
        self._campaign_id = campaign_id
        self._memory = memory
        self._slots = slots
        self._planner = planner
        self._critic = critic
        self._board = board
        self._repairs = repairs
        self._library = library
        self._task_id, self._tier = slots.laboratory.task.spec.id, slots.laboratory.tier
        self._novelty = Novelty(memory, campaign_id, slots.laboratory.task.spec, self._tier, board)
        self._known: Sequence[Trial] = ()
        self._places = itertools.count()
        self._graph = self._build()

    def know(self, candidate: Candidate, owner: int) -> None:
        """Remember that action (or baseline) `owner` made this design, so that no other passes it off as new."""
        self._novelty.know(candidate, owner)

    def compare_with(self, known: Sequence[Trial]) -> None:
        """End trainings of new designs that are hopeless beside those `known`.

        What is known has to be so before the first action, and stay so: a campaign that goes on later, or on other
        slots, then ends the same trainings.
        """
        self._known = known

    async def run(self, work: Work) -> tuple[int, ExperimentRecord]:
        """Carry out `work.action` and remember it.

        Returns: the record, and its place in the order in which records were remembered.

        Raises: Interrupted; CapReached, and the action is to be done again; ProviderError when the endpoint is gone for
        good; StoreError.
        """
        try:
            await self._graph.ainvoke(
                State(attempt=0, repairs=0, failed_attempts=[], changed="", stage="", failure=""),
                {"recursion_limit": RECURSION_LIMIT},
                context=work,
            )
        finally:
            work.screened.set()
        assert work.record is not None
        return work.place, work.record

    # -- the graph -------------------------------------------------------------------------------------------

    def _build(self) -> Any:
        graph = StateGraph(State, context_schema=Work)
        steps: dict[str, Callable[[State, Runtime[Work]], Awaitable[State]]] = {
            "propose": self._propose,
            "screen": self._screen,
            "gate": self._gate,
            "repair": self._repair,
            "train": self._train,
            "judge": self._judge,
            "remember": self._remember,
        }
        for name, step in steps.items():
            graph.add_node(name, step)  # type: ignore[call-overload]
        graph.add_conditional_edges(START, _entry, ["propose", "train"])
        graph.add_conditional_edges("propose", _unless_failed("screen"), ["screen", "judge"])
        graph.add_conditional_edges("screen", _after_screen, ["propose", "gate", "judge"])
        graph.add_conditional_edges("gate", _after_gate, ["propose", "repair", "train", "judge"])
        graph.add_conditional_edges("repair", _unless_failed("screen"), ["screen", "judge"])
        graph.add_edge("train", "judge")
        graph.add_edge("judge", "remember")
        graph.add_edge("remember", END)
        return graph.compile()

    async def _propose(self, state: State, runtime: Runtime[Work]) -> State:
        work = runtime.context
        context = work.context(state["attempt"])
        if self._library is not None:
            context = self._library.informed(context, work.action)
        try:
            proposal = await self._planner.propose(context)
        except CapReached:
            raise
        except MalformedReply as error:
            return State(stage="planner: unusable reply", failure=str(error))
        except ProviderError as error:
            return State(stage="planner: no reply", failure=str(error))
        return self._accept(proposal, context.operator)

    def _accept(self, proposal: Proposal, operator: Operator) -> State:
        candidate = proposal.candidate(self._slots.laboratory.task.spec.scope)
        self._memory.put_candidate(candidate)
        return State(candidate_id=candidate.id, operator=operator.value, changed=proposal.changed)

    async def _screen(self, state: State, runtime: Runtime[Work]) -> State:
        work = runtime.context
        if work.after is not None:
            await work.after.wait()
        owner = self._novelty.twin(self._candidate(state), work.action.index)
        return State(duplicate=False) if owner is None else _tried(state, owner)

    def _candidate(self, state: State) -> Candidate:
        assert state["candidate_id"] is not None
        return self._memory.candidate(state["candidate_id"])

    async def _gate(self, state: State, runtime: Runtime[Work]) -> State:
        candidate, action = self._candidate(state), runtime.context.action
        reports, portrait = await self._examined(candidate)
        rejection = _first_rejection(reports)
        if rejection is None:
            owner = self._novelty.double(candidate, action.index, portrait)
            if owner is not None:
                return _tried(state, owner)
            self._novelty.accept(candidate, action.index, Operator(state["operator"]))
            runtime.context.screened.set()
            return State(rejection="")
        self._board.failures[f"gate: {rejection.gate}"] += 1
        if state["repairs"] >= self._repairs:
            return State(rejection=rejection.message, stage=f"gate: {rejection.gate}", failure=rejection.message)
        return State(rejection=f"{rejection.gate}: {rejection.message}")

    async def _examined(self, candidate: Candidate) -> Examination:
        """What the gates say and what the design showed, from memory or from a process; both are remembered.

        What an older netwright checked has no portrait, and is portrayed now.
        """
        reports = self._memory.gates(candidate.id, self._task_id, tier=self._tier)
        portrait = self._memory.portrait(candidate.id, self._task_id, tier=self._tier)
        if reports and (portrait is not None or _first_rejection(reports)):
            return Examination(reports, portrait or Portrait())
        found = await self._slots.examine(candidate)
        if not reports:
            self._memory.put_gates(candidate.id, self._task_id, found.reports, self._tier)
        if not _first_rejection(found.reports):
            self._memory.put_portrait(candidate.id, self._task_id, found.portrait, self._tier)
        return Examination(reports or found.reports, found.portrait)

    async def _repair(self, state: State, runtime: Runtime[Work]) -> State:
        context = runtime.context.context(state["attempt"])
        failed = self._candidate(state)
        gate, _, sentence = state["rejection"].partition(": ")
        try:
            proposal = await self._planner.repair(context, _as_proposal(failed, state["changed"]), state["rejection"])
        except CapReached:
            raise
        except ProviderError as error:
            return State(stage="planner: no repair", failure=str(error))
        if proposal is None:
            return State(stage=f"gate: {gate}", failure=sentence)
        attempt = {"candidate_id": failed.id, "stage": f"gate: {gate}", "failure": sentence}
        return self._accept(proposal, Operator.REPAIR) | State(
            repairs=state["repairs"] + 1, failed_attempts=[*state["failed_attempts"], attempt]
        )

    async def _train(self, state: State, runtime: Runtime[Work]) -> State:
        action = runtime.context.action
        if action.kind == "promote":
            known = runtime.context.contexts.node(action.parents[0])
            candidate, operator = known.candidate, known.operator
        else:
            candidate, operator = self._candidate(state), Operator(state["operator"])
        if action.kind == "expand":
            self._novelty.recall(candidate, action.index)
        trial = await self.trial(
            candidate,
            rung=action.rung,
            seed=SEARCH_SEED,
            purpose=_purpose(action, operator),
            known=self._known if action.kind == "expand" else (),
        )
        update = State(candidate_id=candidate.id, operator=operator.value)
        if trial.status is not TrialStatus.DONE:
            self._board.failures[f"training: {trial.status.value}"] += 1
            update |= State(stage=f"training: {trial.status.value}", failure=trial.reason)
        return update

    async def trial(
        self, candidate: Candidate, *, rung: int, seed: int, purpose: str, known: Sequence[Trial] = ()
    ) -> Trial:
        """The trial from memory, or a new one, which is remembered; hopeless beside those `known`, it is ended."""
        earlier = self._memory.trial(
            candidate.id, self._task_id, rung, seed, tier=self._tier, campaign_id=self._campaign_id
        )
        if earlier is not None:
            return earlier
        trial = await self._slots.trial(candidate, rung=rung, seed=seed, purpose=purpose, known=known)
        self._memory.put_trial(self._campaign_id, trial)
        return trial

    async def _judge(self, state: State, runtime: Runtime[Work]) -> State:
        work = runtime.context
        if not state.get("candidate_id"):
            return State()
        candidate = self._candidate(state)
        trials = self._trials_up_to(work.action.rung, candidate)
        work.score = score_of(trials, work.noise)
        rival = _rival(work)
        work.verdict = judge(
            trials,
            self._trials_up_to(work.action.rung, rival.candidate) if rival else [],
            rival_id=rival.candidate.id if rival else None,
            rival_title=rival.candidate.title if rival else "",
            changed=state["changed"],
            noise=work.noise,
            failure=state["failure"],
            unit=self._slots.laboratory.task.spec.unit,
        )
        if self._critic and not state["failure"]:
            work.verdict = await self._critic.comment(work.context(state["attempt"]), candidate, work.verdict)
        return State()

    def _trials_up_to(self, rung: int, candidate: Candidate) -> list[Trial]:
        """What this campaign may know at `rung`: an earlier one may have trained the same design further."""
        trials = self._memory.trials(self._task_id, candidate.id, Split.VALIDATION, tier=self._tier)
        return [trial for trial in trials if trial.rung <= rung]

    async def _remember(self, state: State, runtime: Runtime[Work]) -> State:
        work, action = runtime.context, runtime.context.action
        promoted = action.kind == "promote"
        parents = () if promoted else action.parents
        work.record = ExperimentRecord(
            node=action.parents[0] if promoted else action.index,
            action=action,
            operator=Operator(state.get("operator") or action.operator or Operator.DRAFT),
            parents=parents,
            parent_ids=tuple(work.contexts.node(parent).candidate.id for parent in parents),
            candidate_id=state.get("candidate_id"),
            score=work.score,
            verdict=work.verdict,
            stage=state["stage"],
            failure=state["failure"],
            attempts=tuple(Attempt.model_validate(attempt) for attempt in state["failed_attempts"]),
            seconds=time.monotonic() - work.started,
        )
        self._memory.remember(self._campaign_id, work.record)
        work.place = next(self._places)
        return State()


def remembered(record: ExperimentRecord, candidate: Candidate) -> Remembered:
    """A finished experiment as later planners see it."""
    return Remembered(
        candidate=candidate,
        operator=record.operator,
        score=record.score,
        verdict=record.verdict,
        failure=f"{record.stage}: {record.failure}" if record.failure else "",
    )


def _entry(state: State, runtime: Runtime[Work]) -> str:
    return "train" if runtime.context.action.kind == "promote" else "propose"


def _unless_failed(following: str) -> Callable[[State], str]:
    def route(state: State) -> str:
        return "judge" if state["failure"] else following

    return route


def _tried(state: State, owner: int) -> State:
    """Ask for another proposal, or give up: this one was a design of `owner`."""
    if state["attempt"] + 1 < MOST_ATTEMPTS:
        return State(duplicate=True, attempt=state["attempt"] + 1)
    return State(
        duplicate=True,
        candidate_id=None,
        stage="novelty",
        failure=f"{MOST_ATTEMPTS} proposals in a row were designs that had been tried; the last one is that of "
        f"{'a baseline' if owner < 0 else f'experiment {owner}'}: propose something structurally different",
    )


def _after_gate(state: State) -> str:
    if state["duplicate"]:
        return _after_screen(state)
    if not state["rejection"]:
        return "train"
    return "judge" if state["failure"] else "repair"


def _after_screen(state: State) -> str:
    if state["failure"]:
        return "judge"
    return "propose" if state["duplicate"] else "gate"


def _first_rejection(reports: tuple[GateReport, ...]) -> GateReport | None:
    return next((report for report in reports if report.rejects), None)


def _as_proposal(candidate: Candidate, changed: str) -> Proposal:
    return Proposal(
        title=candidate.title,
        hypothesis=candidate.hypothesis,
        source=candidate.source,
        origin=candidate.origin,
        genotype=candidate.genotype,
        changed=changed,
    )


def _purpose(action: Action, operator: Operator) -> str:
    return f"promote to rung {action.rung}" if action.kind == "promote" else operator.value


def _rival(work: Work) -> Remembered | None:
    """Whom the experiment is held against.

    A new design: its first parent where that was trained at the same rung, else the best baseline. A promoted design:
    the best baseline at that rung. A promoted baseline: nobody.
    """
    action = work.action
    if action.kind == "promote" and action.parents[0] < 0:
        return None
    if action.kind == "expand" and action.parents:
        parent = work.contexts.node(action.parents[0])
        if parent.score is not None and parent.score.rung >= action.rung:
            return parent
    return work.contexts.best_baseline(action.rung) or work.contexts.best_baseline()
