"""A planner that asks an LLM: a plan as JSON, then the whole file in one fenced block.

Whatever comes is read tolerantly and checked here; a defect is told to the model and asked again, at most
`repairs` times. What already came right is kept and not asked again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace

from netwright.agents.answers import Answer, absorb
from netwright.agents.base import Ledger
from netwright.agents.chat import ChatRequest, Reply
from netwright.agents.context_text import (
    CODE_CHARACTERS,
    allowance_text,
    evidence_text,
    repair_evidence_text,
    task_text,
)
from netwright.agents.endpoint import Endpoint
from netwright.agents.faults import EndpointError, Fault
from netwright.agents.quoting import fenced, one_line, quoted
from netwright.agents.replies import Plan, split_thinking
from netwright.agents.symptoms import starting_points
from netwright.errors import MalformedReply
from netwright.prompts import load
from netwright.types import Context, Operator, Proposal, Scope

logger = logging.getLogger(__name__)

CLASS_NAMES = {Scope.MIXER: "Mixer", Scope.BLOCK: "Block", Scope.MODEL: "Model"}
_ECHO_CHARACTERS = 24_000

Message = dict[str, str]


class LlmPlanner:
    """Implements `Planner` with one endpoint.

    Args:
        endpoint: whom to ask.
        ledger: where every call is looked up and recorded.
        temperature: None leaves it to the server.
        max_tokens: of one answer; doubled after an answer was cut off.
        budget_characters: of the evidence in the prompt; halved once if the model's context is too small.
        repairs: how often a malformed answer is sent back.
    """

    name = "llm"

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        *,
        temperature: float | None = 0.8,
        max_tokens: int = 6000,
        budget_characters: int = 40_000,
        repairs: int = 2,
    ) -> None:
        self._endpoint = endpoint
        self._ledger = ledger
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._budget_characters = budget_characters
        self._repairs = repairs

    async def propose(self, context: Context) -> Proposal:
        """See `Planner`.

        Raises:
            MalformedReply: no usable plan and file after all repairs; the message says what was wrong.
            ProviderError: the endpoint gave no answer.
        """
        answer, model = await self._converse(
            lambda budget: self._request("planner", context, _planner_text(context, budget)),
            CLASS_NAMES[context.task.scope],
            Answer(),
        )
        return _proposal(answer, model)

    async def repair(self, context: Context, failed: Proposal, failure: str) -> Proposal | None:
        """See `Planner`. Without a new plan the old one stays. None: the file came back unchanged.

        Raises:
            MalformedReply: no usable file after all repairs of the answer's form.
            ProviderError: the endpoint gave no answer.
        """
        known = Plan(title=failed.title[:200] or "untitled", hypothesis=failed.hypothesis or "none given")
        answer, model = await self._converse(
            lambda budget: self._request("repairer", context, _repair_text(context, failed, failure, budget)),
            CLASS_NAMES[context.task.scope],
            Answer(plan=known),
        )
        mended = _proposal(answer, model)
        if mended.source.strip() == failed.source.strip():
            logger.info("repair changed nothing action=%d title=%s", context.action, failed.title)
            return None
        return mended

    def _request(self, role: str, context: Context, text: str) -> ChatRequest:
        messages = ({"role": "system", "content": system_text(context)}, {"role": "user", "content": text})
        return ChatRequest(
            role=role,
            messages=messages,
            prompt_sha256=_joint_sha256("system", role),
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            tag=f"action={context.action} attempt={context.attempt} seed={context.seed}",
        )

    async def _converse(
        self, build: Callable[[int], ChatRequest], class_name: str, answer: Answer
    ) -> tuple[Answer, str]:
        """Ask, and ask again for what is missing; return a complete answer and the model's name."""
        request, reply = await self._ask_fitting(build)
        for turn in range(self._repairs + 1):
            answer = absorb(answer, reply.text, cut_off=reply.cut_off, class_name=class_name)
            if answer.complete:
                return answer, reply.model
            logger.info("reply not usable role=%s turn=%d: %s", request.role, turn, answer.problem)
            if turn < self._repairs:
                request = _asking_again(request, reply, answer, turn + 1)
                reply = await self._endpoint.chat(request, self._ledger)
        raise MalformedReply(
            f"model {reply.model!r} gave no usable {request.role} answer in {self._repairs + 1} tries; "
            f"at last {answer.problem} A larger model may do better, or more tokens if it was cut off."
        )

    async def _ask_fitting(self, build: Callable[[int], ChatRequest]) -> tuple[ChatRequest, Reply]:
        """Ask; if the model's context is too small, once more with half the evidence and half the answer."""
        request = build(self._budget_characters)
        try:
            return request, await self._endpoint.chat(request, self._ledger)
        except EndpointError as error:
            if error.fault is not Fault.OVERFLOW:
                raise
            logger.info("the prompt of %d characters is too long: halving the evidence", request.characters)
        request = replace(build(self._budget_characters // 2), max_tokens=self._max_tokens // 2)
        return request, await self._endpoint.chat(request, self._ledger)


def system_text(context: Context) -> str:
    """Render the stable part of a planner's prompt: the same bytes for every call of a campaign."""
    return load("system").render(
        contract=load(f"contract_{context.task.scope.value}").text.strip(),
        allowance=allowance_text(context),
        task=task_text(context.task),
    )


def _planner_text(context: Context, budget_characters: int) -> str:
    text = load("planner").render(
        evidence=evidence_text(context, budget_characters),
        operator=context.operator.value,
        instruction=_instruction(context),
    )
    return text.strip()


def _instruction(context: Context) -> str:
    prompt = load(f"operator_{context.operator.value}")
    if context.operator is Operator.DRAFT:
        first, second = starting_points(context)
        text = prompt.render(first=first, second=second)
    else:
        text = prompt.render()
    if context.attempt:
        text += load("duplicate").render(attempt=str(context.attempt))
    return text.strip()


def _repair_text(context: Context, failed: Proposal, failure: str, budget_characters: int) -> str:
    text = load("repairer").render(
        evidence=repair_evidence_text(context, budget_characters),
        title=one_line(failed.title, 120),
        hypothesis=one_line(failed.hypothesis),
        source=fenced(failed.source[:CODE_CHARACTERS], "python"),
        failure=quoted(failure),
    )
    return text.strip()


def _asking_again(request: ChatRequest, reply: Reply, answer: Answer, turn: int) -> ChatRequest:
    """Continue the conversation by the reply and by what is wrong with it."""
    note = load("malformed").render(problem=answer.problem, wanted=answer.wanted).strip()
    return replace(
        request,
        messages=_continued(request.messages, split_thinking(reply.text).answer, note),
        max_tokens=request.max_tokens * 2 if answer.cut_off else request.max_tokens,
        tag=f"{request.tag.partition(' turn=')[0]} turn={turn}",
    )


def _continued(messages: tuple[Message, ...], said: str, note: str) -> tuple[Message, ...]:
    """Roles must alternate and no message may be empty, so after silence the note joins the last question."""
    if said.strip():
        echo = {"role": "assistant", "content": said[:_ECHO_CHARACTERS]}
        return (*messages, echo, {"role": "user", "content": note})
    return (*messages[:-1], {"role": "user", "content": f"{messages[-1]['content']}\n\n{note}"})


def _proposal(answer: Answer, model: str) -> Proposal:
    assert answer.plan is not None and answer.source is not None
    plan = answer.plan
    expected = f" Expected: {plan.expected_effect}" if plan.expected_effect else ""
    return Proposal(
        title=plan.title,
        hypothesis=plan.hypothesis + expected,
        source=answer.source,
        origin=f"llm:{model}",
        changed=plan.changes,
    )


def _joint_sha256(*names: str) -> str:
    return hashlib.sha256("".join(load(name).sha256 for name in names).encode()).hexdigest()
