"""What models may cost a campaign, and who proposes once there is no room for another call.

A call is made only where its worst case, prompt and longest answer, fits what the caps have left. Calls in flight hold
their worst cases: a call that fits what was spent, but not what is held, waits until that is decided. So the same call
at the same expense is always decided alike, in whatever order answers come; expenses only grow, so a campaign that is
resumed with the same caps is refused what it was refused before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

from netwright.agents.base import Team
from netwright.agents.grammar_planner import GrammarPlanner
from netwright.agents.replies import Plan
from netwright.campaign.board import Board
from netwright.errors import CapReached
from netwright.memory.records import LlmTotals
from netwright.types import Context, LlmCall, Proposal


class Expense(NamedTuple):
    """What some calls cost; the fields are named as the caps of `Budget`."""

    llm_calls: int = 0
    llm_tokens: int = 0
    llm_cost: float = 0.0

    def plus(self, other: Expense) -> Expense:
        return Expense(
            self.llm_calls + other.llm_calls, self.llm_tokens + other.llm_tokens, self.llm_cost + other.llm_cost
        )


class CampaignPurse:
    """Implements `Purse` with the caps of a campaign's budget, over all its sessions.

    `earlier` is what they spent, by the memory. The board shows what is spent.
    """

    def __init__(self, board: Board, earlier: LlmTotals) -> None:
        self._board = board
        self._llm = board.config.llm
        self._caps = board.config.budget.caps
        board.prompt_tokens, board.completion_tokens = earlier.prompt_tokens, earlier.completion_tokens
        board.prefix_tokens = earlier.prefix_tokens
        board.llm_cost = self._llm.cost_of(earlier.asked)
        tokens = earlier.prompt_tokens + earlier.completion_tokens
        self._spent = Expense(earlier.calls, tokens, board.llm_cost or 0.0)
        self._held: list[Expense] = []
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def held(self, role: str, model: str, prompt_tokens: int, answer_tokens: int) -> AsyncIterator[None]:
        """See `Purse`."""
        worst = self._expense(role, model, prompt_tokens, answer_tokens)
        while self._lacking(worst) is None and self._lacking(worst, *self._held) is not None:
            self._changed.clear()
            await self._changed.wait()
        if lacking := self._lacking(worst):
            raise CapReached(self._refusal(lacking, role, worst), lacking)
        self._held.append(worst)
        try:
            yield
        finally:
            self._held.remove(worst)
            self._changed.set()

    def pay(self, call: LlmCall) -> None:
        """Take in what a call that was made cost: one that got no answer is a call without tokens."""
        read, written = call.prompt_tokens or 0, call.completion_tokens or 0
        expense = self._expense(call.role, call.model, read, written)
        self._spent = self._spent.plus(expense)
        self._board.prompt_tokens += read
        self._board.prefix_tokens += call.prefix_tokens or 0
        self._board.completion_tokens += written
        if self._board.llm_cost is not None:
            self._board.llm_cost += expense.llm_cost

    def _expense(self, role: str, model: str, read: int, written: int) -> Expense:
        return Expense(1, read + written, self._llm.asked_by(role, model).cost(read, written) or 0.0)

    def _lacking(self, *wanted: Expense) -> str | None:
        """The first cap that has no room for all that is wanted beside what is spent."""
        total = self._spent
        for expense in wanted:
            total = total.plus(expense)
        return next((name for name, cap in self._caps.items() if getattr(total, name) > cap), None)

    def _refusal(self, name: str, role: str, worst: Expense) -> str:
        amounts = self._caps[name], getattr(self._spent, name), getattr(worst, name)
        cap, spent, more = (f"{amount:,.10g}" for amount in amounts)
        return f"the cap {name} = {cap} has no room for a call of the {role}: {spent} spent, and it may take {more}"


def or_grammar(team: Team, board: Board) -> Team:
    """The team with a grammar that does what the caps have no room for: it plans, writes, and mends its own."""
    stand_in = _StandIn(team, board)
    return replace(team, planner=stand_in, coder=stand_in, repairer=stand_in)


class _StandIn:
    def __init__(self, team: Team, board: Board) -> None:
        self.name = team.planner.name
        self._team = team
        self._grammar = GrammarPlanner()
        self._board = board
        self._told = False

    async def plan(self, context: Context) -> Sequence[Plan | Proposal]:
        """See `Planner`."""
        try:
            return await self._team.planner.plan(context)
        except CapReached as reached:
            self._tell(reached)
            return await self._grammar.plan(context)

    async def write(self, context: Context, plan: Plan) -> Proposal:
        """See `Coder`. Where there is no room to write the plan, the grammar's own design takes its place."""
        assert self._team.coder is not None
        try:
            return await self._team.coder.write(context, plan)
        except CapReached as reached:
            self._tell(reached)
            return self._grammar.sketch(context).proposal()

    async def repair(self, context: Context, failed: Proposal, failure: str) -> Proposal | None:
        """See `Repairer`. What a model wrote and the caps have no room to mend stays as it is."""
        if failed.genotype:
            return await self._grammar.repair(context, failed, failure)
        try:
            return await self._team.repairer.repair(context, failed, failure)
        except CapReached as reached:
            self._tell(reached)
            return None

    def _tell(self, reached: CapReached) -> None:
        if not self._told:
            self._told = True
            self._board.news.append(f"{reached}; the grammar goes on")
