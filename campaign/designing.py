"""The steps of an expansion that ask the agents: plan, rank, code, repair."""

from __future__ import annotations

from collections.abc import Sequence

from langgraph.runtime import Runtime

from netwright.agents.base import Team
from netwright.agents.replies import Plan
from netwright.campaign.library import Library
from netwright.campaign.ranking import ranked
from netwright.campaign.work import State, Work, ended
from netwright.errors import CapReached, MalformedReply, ProviderError
from netwright.memory.store import Memory
from netwright.types import Candidate, Context, Operator, Proposal, Scope, Verdict

NO_REPLY = frozenset({"planner: no reply", "coder: no reply", "repairer: no reply"})
"""Stages at which an expansion ended because an endpoint gave no answer."""


class Designer:
    """Has designs planned, written and mended; what comes of it is kept as a candidate."""

    def __init__(self, team: Team, memory: Memory, scope: Scope, library: Library | None) -> None:
        self._team = team
        self._memory = memory
        self._scope = scope
        self._library = library

    async def plan(self, state: State, runtime: Runtime[Work]) -> State:
        work = runtime.context
        context = work.context(state)
        work.told = context if self._library is None else self._library.informed(context, work.action)
        try:
            plans = await self._team.planner.plan(work.told)
        except ProviderError as error:
            return ended(_stage("planner", error), str(error))
        work.plans.clear()
        work.plans.extend(plans)
        return State()

    async def rank(self, state: State, runtime: Runtime[Work]) -> State:
        """Put the plans in the order in which they are built."""
        work = runtime.context
        plans = [plan for plan in work.plans if isinstance(plan, Plan)]
        if len(plans) > 1:
            assert work.told is not None, "plans are ranked where they were asked for"
            opinions = await self._opinions(work.told, plans)
            work.plans.clear()
            work.plans.extend(ranked(plans, work.contexts.outcomes(), opinions))
        return State()

    async def _opinions(self, context: Context, plans: Sequence[Plan]) -> Sequence[float] | None:
        critic = self._team.critic
        return None if critic is None else await critic.weigh(context, plans)

    async def code(self, state: State, runtime: Runtime[Work]) -> State:
        """Have the best plan that was not built yet written."""
        work = runtime.context
        context, plan = work.context(state), work.plans.popleft()
        if isinstance(plan, Proposal):
            return self._accept(plan, context.operator)
        assert self._team.coder is not None, "who plans without writing needs a coder"
        try:
            proposal = await self._team.coder.write(context, plan)
        except ProviderError as error:
            return ended(_stage("coder", error), f"{plan.title}: {error}")
        return self._accept(proposal, context.operator)

    async def repair(self, state: State, runtime: Runtime[Work]) -> State:
        assert state["candidate_id"] is not None
        failed = self._memory.candidate(state["candidate_id"])
        gate, _, sentence = state["rejection"].partition(": ")
        try:
            proposal = await self._team.repairer.repair(
                runtime.context.context(state), _as_proposal(failed, state["changed"]), state["rejection"]
            )
        except ProviderError as error:
            return ended(_stage("repairer", error), str(error))
        if proposal is None:
            return ended(f"gate: {gate}", sentence)
        attempt = {"candidate_id": failed.id, "stage": f"gate: {gate}", "failure": sentence}
        return self._accept(proposal, Operator.REPAIR) | State(
            repairs=state["repairs"] + 1, failed_attempts=[*state["failed_attempts"], attempt]
        )

    async def comment(self, state: State, work: Work, candidate: Candidate, verdict: Verdict) -> Verdict:
        """The verdict with the words of a critic who is shown what is like the candidate; without a critic as it is."""
        if self._team.critic is None:
            return verdict
        context = work.context(state)
        context = context if self._library is None else self._library.compared(context, candidate)
        return await self._team.critic.comment(context, candidate, work.score, verdict)

    def _accept(self, proposal: Proposal, operator: Operator) -> State:
        candidate = proposal.candidate(self._scope)
        self._memory.put_candidate(candidate)
        return State(candidate_id=candidate.id, operator=operator.value, changed=proposal.changed)


def _stage(role: str, error: ProviderError) -> str:
    """Where an expansion ends by `error`; one that a cap kept from its design does not end, it is to be done again."""
    if isinstance(error, CapReached):
        raise error
    return f"{role}: unusable reply" if isinstance(error, MalformedReply) else f"{role}: no reply"


def _as_proposal(candidate: Candidate, changed: str) -> Proposal:
    return Proposal(
        title=candidate.title,
        hypothesis=candidate.hypothesis,
        source=candidate.source,
        origin=candidate.origin,
        genotype=candidate.genotype,
        changed=changed,
    )
