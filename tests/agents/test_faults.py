"""Proposals and comments through a server of which one reply in five is faulty: every kind of fault, one by one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from chat_server import ChatServer, plan_text
from faulty_server import FAULTS, STALL_SECONDS, Fault, Faulty

from netwright.agents.endpoint import Endpoint
from netwright.agents.llm_critic import LlmCritic
from netwright.agents.llm_planner import LlmPlanner
from netwright.agents.profile import Profile
from netwright.agents.retrying import RetryRule
from netwright.agents.transport import Timeouts
from netwright.types import (
    Candidate,
    Context,
    Interval,
    LlmCall,
    Operator,
    Outcome,
    Proposal,
    Recipe,
    Remembered,
    Rung,
    Scope,
    TaskSpec,
    Verdict,
)

Servers = Callable[..., ChatServer]
STEPS = 6
SEED = 6
TASK = TaskSpec(
    name="recall",
    summary="find the value that belongs to a key",
    scope=Scope.MIXER,
    vocab_size=64,
    max_len=64,
    dim=64,
    heads=4,
    layers=2,
    parameters=90_000,
    metric="loss",
    recipe=Recipe(),
    rungs=(Rung(level=0, tokens=100_000),),
    validation_rows=8,
    test_rows=8,
)
VERDICT = Verdict(
    outcome=Outcome.NO_DIFFERENCE, delta_nats=-0.01, interval=Interval(low=-0.05, high=0.03), words="within noise"
)
COMMENT = '```json\n{"changed": "a gate", "words": "No difference.", "lesson": "Gates alone do little."}\n```'


def source_of(number: int) -> str:
    return f'''"""Design {number}: a gain of its own."""

import torch


class Mixer(torch.nn.Module):
    def __init__(self, dim, heads, max_len, layer, layers):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.full((dim,), {number}.0))

    def forward(self, x):
        return x * self.gain
'''


def answer(body: dict[str, Any]) -> str:
    """What a good model says: a comment to the critic, and to the planner the design that its parent asks for."""
    if "You are the critic" in body["messages"][0]["content"]:
        return COMMENT
    asked = re.search(r"Parent (\d+)", "\n".join(message["content"] for message in body["messages"]))
    assert asked is not None
    return plan_text(f"Design {asked[1]}", source_of(int(asked[1])))


def step_of(number: int) -> Context:
    parent = Candidate(
        source=source_of(1000 + number), scope=Scope.MIXER, title=f"Parent {number}", hypothesis="Old.", origin="llm:m"
    )
    known = Remembered(candidate=parent, operator=Operator.DRAFT, score=None, verdict=None)
    return Context(
        task=TASK, operator=Operator.REFINE, seed=7, action=number, parents=(known,), mixer_parameters=20_000
    )


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
            planner, critic = LlmPlanner(endpoint, had), LlmCritic(endpoint, had)
            for number in range(steps):
                context = step_of(number)
                proposal = await planner.propose(context)
                had.proposals.append(proposal)
                had.verdicts.append(await critic.comment(context, proposal.candidate(Scope.MIXER), VERDICT))
            had.profile = await endpoint.profile()

    asyncio.run(work())
    return had


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_no_proposal_is_lost_to_a_fault(chat_server: Servers, fault: Fault) -> None:
    model = Faulty(answer, [fault], rate=0.2, seed=SEED)
    server = chat_server(default=model)

    had = talk(server)

    assert model.given, "the fault happened"
    assert [proposal.source for proposal in had.proposals] == [source_of(number) for number in range(STEPS)]
    assert model.asked <= 2 * STEPS + fault.costs * len(model.given)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.lasts is not None], ids=lambda fault: fault.name)
def test_a_server_that_is_always_so_is_worked_with(chat_server: Servers, fault: Fault) -> None:
    model = Faulty(answer, [fault], rate=1.0)
    server = chat_server(default=model)

    had = talk(server, steps=2)

    assert [proposal.source for proposal in had.proposals] == [source_of(number) for number in range(2)]
    assert {verdict.author for verdict in had.verdicts} == {"llm:scripted"}
    assert model.asked == 2 * 2 + (fault.lasts or 0)
