"""One action of the search, from the question to the record: a LangGraph graph of small, repeatable steps.

    plan -> rank -> code -> screen -> gate -> train -> judge -> remember
     ^               ^        |       |  |
     +-------- again +--------+-------+  +-> repair -> screen

Where a person reviews designs the step `review` stands before `train`; see `reviewing`.

The state holds ids and counters; code, reports and curves are in the memory. Every step looks there first, so that
what was finished is not done twice whatever killed the process in between.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from netwright.agents.base import Team
from netwright.campaign.board import Board
from netwright.campaign.designing import Designer
from netwright.campaign.library import Library
from netwright.campaign.novelty import Novelty, RecordedNovelty
from netwright.campaign.recording import Recording
from netwright.campaign.reviewing import REJECTED, Desk, Question
from netwright.campaign.slots import Slots
from netwright.campaign.work import (
    State,
    Work,
    after_gate,
    after_review,
    after_screen,
    begun,
    entry,
    purpose,
    tried,
    unless_failed,
)
from netwright.evaluator.laboratory import Examination
from netwright.evaluator.statistics import score_of
from netwright.evaluator.verdict import judge
from netwright.memory.records import Attempt, ExperimentRecord
from netwright.memory.store import Memory
from netwright.portrait import Portrait
from netwright.types import (
    Candidate,
    GateReport,
    Operator,
    Remembered,
    Split,
    Trial,
    TrialStatus,
)

SEARCH_SEED = 0
RECURSION_LIMIT = 80


class Expander:
    """Carries out actions. Holds what all expansions of a campaign share."""

    def __init__(
        self,
        *,
        campaign_id: int,
        memory: Memory,
        slots: Slots,
        team: Team,
        board: Board,
        repairs: int,
        library: Library | None,
        recording: Recording | None = None,
        desk: Desk | None = None,
    ) -> None:
        self._campaign_id = campaign_id
        self._memory = memory
        self._slots = slots
        self._board = board
        self._repairs = repairs
        self._designer = Designer(team, memory, slots.laboratory.task.spec.scope, library)
        self._task_id, self._tier = slots.laboratory.task.spec.id, slots.laboratory.tier
        # What was cut short counts for whoever ran it.
        self._trained_by = campaign_id if recording is None else recording.source.id
        self._novelty = (
            Novelty(memory, campaign_id, slots.laboratory.task.spec, self._tier, board)
            if recording is None
            else RecordedNovelty(memory, recording.source.id, campaign_id, board)
        )
        self._known: Sequence[Trial] = ()
        self._places = itertools.count()
        self._desk = desk
        # What was decided lasts in the memory; here an expansion is kept only while its question is open.
        self._paused = InMemorySaver() if desk is not None else None
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
            with self._board.waiting.at_work():
                await self._carry_out(work)
        finally:
            work.screened.set()
        assert work.record is not None
        return work.place, work.record

    async def _carry_out(self, work: Work) -> None:
        config: dict[str, Any] = {"recursion_limit": RECURSION_LIMIT}
        if self._desk is None or self._paused is None:
            await self._graph.ainvoke(begun(), config, context=work)
            return
        thread = str(work.action.index)
        config["configurable"] = {"thread_id": thread}
        told: State | Command[Any] = begun()
        while True:
            state = await self._graph.ainvoke(told, config, context=work, durability="exit")
            if "__interrupt__" not in state:
                break
            (asked,) = state["__interrupt__"]
            review = await self._desk.answer(Question.model_validate(asked.value))
            told = Command(resume=review.model_dump(mode="json"))
        await self._paused.adelete_thread(thread)

    # -- the graph -------------------------------------------------------------------------------------------

    def _build(self) -> Any:
        graph = StateGraph(State, context_schema=Work)
        steps: dict[str, Callable[[State, Runtime[Work]], Awaitable[State]]] = {
            "plan": self._designer.plan,
            "rank": self._designer.rank,
            "code": self._designer.code,
            "screen": self._screen,
            "gate": self._gate,
            "repair": self._designer.repair,
            "train": self._train,
            "judge": self._judge,
            "remember": self._remember,
        }
        for name, step in steps.items():
            graph.add_node(name, step)  # type: ignore[call-overload]
        again = ["plan", "code"]
        if self._desk is not None:
            again += ["review"]
            graph.add_node("review", self._desk.review)
            ways = _routes(approve="train", edit="screen", reject="judge")
            graph.add_conditional_edges("review", after_review, ways)
        graph.add_conditional_edges(START, entry, ["plan", "train"])
        graph.add_conditional_edges("plan", unless_failed("rank"), ["rank", "judge"])
        graph.add_edge("rank", "code")
        graph.add_conditional_edges("code", unless_failed("screen"), ["screen", "judge"])
        graph.add_conditional_edges("screen", after_screen, [*again, "gate", "judge"])
        ways = _routes(*again, "repair", "judge", passed="train" if self._desk is None else "review")
        graph.add_conditional_edges("gate", after_gate, ways)
        graph.add_conditional_edges("repair", unless_failed("screen"), ["screen", "judge"])
        graph.add_edge("train", "judge")
        graph.add_edge("judge", "remember")
        graph.add_edge("remember", END)
        return graph.compile(checkpointer=self._paused)

    async def _screen(self, state: State, runtime: Runtime[Work]) -> State:
        work = runtime.context
        if work.after is not None:
            with self._board.waiting.held():
                await work.after.wait()
        owner = self._novelty.twin(self._candidate(state), work.action.index)
        return State(duplicate=False) if owner is None else tried(state, owner, work)

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
                return tried(state, owner, runtime.context)
            self._novelty.accept(candidate, action.index, Operator(state["operator"]))
            if self._desk is None:
                runtime.context.screened.set()
            return State(rejection="")
        self._board.failures[f"gate: {rejection.gate}"] += 1
        if state["repairs"] >= self._repairs and not state["passing"]:
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
            purpose=purpose(action, operator),
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
            candidate.id, self._task_id, rung, seed, tier=self._tier, campaign_id=self._trained_by
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
        # Another campaign may have trained what a person has just rejected: that is no score of this experiment.
        trials = [] if state["stage"] == REJECTED else self._trials_up_to(work.action.rung, candidate)
        work.score = score_of(trials, work.noise)
        rival = work.rival()
        work.verdict = judge(
            trials,
            self._trials_of_rival(work, rival) if rival else [],
            rival_id=rival.candidate.id if rival else None,
            rival_title=rival.candidate.title if rival else "",
            changed=state["changed"],
            noise=work.noise,
            failure=state["failure"],
            unit=self._slots.laboratory.task.spec.unit,
        )
        # A critic compares; where there is nobody to compare with, words would cost and say nothing.
        if rival is not None and not state["failure"]:
            work.verdict = await self._designer.comment(state, work, candidate, work.verdict)
        return State()

    def _trials_of_rival(self, work: Work, rival: Remembered) -> list[Trial]:
        """What was told of the rival when the action began: whatever others train meanwhile changes no verdict."""
        known = rival.score.rung if rival.score is not None else 0
        return self._trials_up_to(min(work.action.rung, known), rival.candidate)

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


def _routes(*names: str, **others: str) -> dict[Hashable, str]:
    """The steps by what a route says: its name, where nothing else was said."""
    return {said: step for said, step in (*zip(names, names, strict=True), *others.items())}


def remembered(record: ExperimentRecord, candidate: Candidate) -> Remembered:
    """A finished experiment as later planners see it."""
    return Remembered(
        candidate=candidate,
        operator=record.operator,
        score=record.score,
        verdict=record.verdict,
        failure=f"{record.stage}: {record.failure}" if record.failure else "",
    )


def _first_rejection(reports: tuple[GateReport, ...]) -> GateReport | None:
    return next((report for report in reports if report.rejects), None)
