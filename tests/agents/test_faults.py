"""Proposals and comments through a server of which one reply in five is faulty: every kind of fault, one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from author import Author
from chat_server import ChatServer, Step, completion, http_error
from faulty_server import FAULTS, STALL_SECONDS, Fault, Faulty, count
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
STEPS = 4
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
                had.verdicts.append(await critic.comment(context, proposal.candidate(Scope.MIXER), None, VERDICT))
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
    assert {verdict.author for verdict in had.verdicts} == {"llm:scripted"}
    assert model.asked <= 3 * STEPS + fault.costs * len(model.given)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.lasts is not None], ids=lambda fault: fault.name)
def test_a_server_that_is_always_so_is_worked_with(chat_server: Servers, fault: Fault) -> None:
    model = Faulty(Author(source_of), [fault], rate=1.0)
    server = chat_server(default=model)

    had = talk(server, steps=2)

    assert [proposal.source for proposal in had.proposals] == [source_of(number) for number in range(2)]
    assert {verdict.author for verdict in had.verdicts} == {"llm:scripted"}
    assert model.asked == 3 * 2 + (fault.lasts or 0)


def small(context_tokens: int, refusal: Step, script: Sequence[Step] = ()) -> Callable[[dict[str, Any]], Step]:
    """A model whose context holds the question and the answer, or else `refusal` comes; first it says `script`."""
    author, replies = Author(source_of), iter(script)

    def answer(body: dict[str, Any]) -> Step:
        if body["messages"][-1]["content"] == "Say yes.":
            return completion("yes")
        if count(body) + body["max_tokens"] > context_tokens:
            return refusal
        return next(replies, None) or completion(author(body), prompt_tokens=count(body))

    return answer


@pytest.mark.parametrize(
    "refusal", [completion(""), http_error(400, "Requested token count exceeds the model's maximum context length")]
)
def test_a_model_that_holds_less_than_it_is_said_to_is_asked_for_less(chat_server: Servers, refusal: Step) -> None:
    server = chat_server(default=small(7000, refusal))

    had = talk(server, steps=1)

    assert [proposal.source for proposal in had.proposals] == [source_of(0)]
    assert had.verdicts[0].author == "llm:scripted"


def test_an_answer_that_was_cut_off_and_has_no_room_to_go_on_is_asked_for_anew(chat_server: Servers) -> None:
    cut = completion("<think>Perhaps, or perhaps not, or", finish_reason="length")
    refusal = http_error(400, "This model's maximum context length is 10000 tokens.")
    server = chat_server(default=small(10_000, refusal, [cut]))

    had = talk(server, steps=1)

    assert [proposal.source for proposal in had.proposals] == [source_of(0)]
    assert [body["max_tokens"] for body in server.requests][1:4] == [6000, 12_000, 3000]
