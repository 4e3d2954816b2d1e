"""Proposals and comments through a server of which one reply in five is faulty: every kind of fault, one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from author import Author
from chat_server import ChatServer
from faulty_server import FAULTS, STALL_SECONDS, Fault, Faulty
from small_designs import VERDICT, source_of, step_of

from netwright.agents.endpoint import Endpoint
from netwright.agents.llm_coder import LlmCoder
from netwright.agents.llm_critic import LlmCritic
from netwright.agents.llm_planner import LlmPlanner
from netwright.agents.profile import Profile
from netwright.agents.replies import Plan
from netwright.agents.retrying import RetryRule
from netwright.agents.transport import Timeouts
from netwright.types import LlmCall, Proposal, Scope, Verdict

Servers = Callable[..., ChatServer]
STEPS = 5
SEED = 6


@dataclass
class Talk:
    """What came of a talk with a faulty server."""

    proposals: list[Proposal] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    calls: list[LlmCall] = field(default_factory=list)
    profile: Profile | None = None

    def find(self, key: str) -> LlmCall | None:
        return next((call for call in self.calls if call.key == key and call.reply), None)

    def record(self, call: LlmCall) -> None:
        self.calls.append(call)


def talk(server: ChatServer, steps: int = STEPS) -> Talk:
    """Have `steps` designs proposed and commented on."""
    had = Talk()

    async def work() -> None:
        retries = RetryRule(tries=4, wait_seconds=0.0, longest_wait_seconds=0.05)
        timeouts = Timeouts(first_seconds=STALL_SECONDS / 2, total_seconds=20.0)
        async with Endpoint(server.url, "scripted", retries=retries, timeouts=timeouts) as endpoint:
            await endpoint.verify()
            planner, coder = LlmPlanner(endpoint, had, plans=1), LlmCoder(endpoint, had)
            critic = LlmCritic(endpoint, had)
            for number in range(steps):
                context = step_of(number)
                (plan,) = await planner.plan(context)
                assert isinstance(plan, Plan)
                proposal = await coder.write(context, plan)
                had.proposals.append(proposal)
                had.verdicts.append(await critic.comment(context, proposal.candidate(Scope.MIXER), VERDICT))
            had.profile = await endpoint.profile()

    asyncio.run(work())
    return had


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_proposal_is_lost_to_a_fault(chat_server: Servers, fault: Fault) -> None:
    model = Faulty(Author(source_of), [fault], rate=0.2, seed=SEED)
    server = chat_server(default=model)

    had = talk(server)

    assert model.given, "the fault happened"
    assert [proposal.source for proposal in had.proposals] == [source_of(number) for number in range(STEPS)]
    assert model.asked <= 3 * STEPS + fault.costs * len(model.given)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.lasts is not None], ids=lambda fault: fault.name)
def test_a_server_that_is_always_so_is_worked_with(chat_server: Servers, fault: Fault) -> None:
    model = Faulty(Author(source_of), [fault], rate=1.0)
    server = chat_server(default=model)

    had = talk(server, steps=2)

    assert [proposal.source for proposal in had.proposals] == [source_of(number) for number in range(2)]
    assert {verdict.author for verdict in had.verdicts} == {"llm:scripted"}
    assert model.asked == 3 * 2 + (fault.lasts or 0)
