"""A planner that asks an LLM for several plans at once, each a few sentences; no code is written yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from netwright.agents.answers import PlansAnswer
from netwright.agents.base import Correspondent, Ledger
from netwright.agents.chat import plain_schema
from netwright.agents.context_text import evidence_text
from netwright.agents.conversation import Conversation, Manner, Question
from netwright.agents.replies import Plan, Plans
from netwright.agents.room import Room
from netwright.agents.symptoms import starting_points
from netwright.agents.writing import class_name, written
from netwright.prompts import load
from netwright.types import Context, Operator, Proposal


class LlmPlanner:
    """Implements `Planner` with one endpoint; `plans` is how many are asked for in one call. See `Conversation`."""

    name = "llm"

    def __init__(
        self,
        endpoint: Correspondent,
        ledger: Ledger,
        *,
        plans: int = 3,
        **manner: Unpack[Manner],
    ) -> None:
        self._plans = plans
        self._conversation = Conversation(endpoint, ledger, **(Manner(temperature=0.8) | manner))

    async def plan(self, context: Context) -> Sequence[Plan | Proposal]:
        """See `Planner`. A model that wrote the file of its only plan at once is taken at its word.

        Raises:
            MalformedReply: no usable plan after all repairs; the message says what was wrong.
            ProviderError: the endpoint gave no answer.
        """
        question = Question(
            role="planner",
            prompts=("planner",),
            context=context,
            text=lambda room: _planner_text(context, self._plans, room),
            schema=plain_schema(Plans),
        )
        answer, model = await self._conversation.answer(question, PlansAnswer(class_name=class_name(context)))
        if answer.source is not None and len(answer.plans) == 1:
            return (written(answer.plans[0], answer.source, model),)
        return answer.plans[: self._plans]


def _planner_text(context: Context, plans: int, room: Room) -> str:
    prompt, instruction = load("planner"), _instruction(context)
    wanted = load("wanted_plans").render(count=_count(plans)).strip()
    return prompt.render(
        evidence=evidence_text(context, room.beside(prompt.text, instruction, wanted)),
        operator=context.operator.value,
        instruction=instruction,
        wanted=wanted,
    )


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


def _count(plans: int) -> str:
    if plans == 1:
        return "one plan"
    return f"{plans} plans that differ in mechanism, the one you believe in most first"
