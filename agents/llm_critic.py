"""A critic that asks an LLM: what to expect of plans, and how a verdict reads in words. Numbers stay as they are."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from netwright.agents.base import Correspondent, Ledger
from netwright.agents.chat import ChatRequest, plain_schema
from netwright.agents.context_text import case_evidence_text, task_text, verdict_text
from netwright.agents.conversation import joint_sha256
from netwright.agents.quoting import as_data, fenced, one_line, quoted
from netwright.agents.replies import Comment, Defect, Opinions, Plan, read_object, split_thinking
from netwright.agents.room import WANTED_CONTEXT, Room, answer_room, question_room
from netwright.errors import ProviderError
from netwright.prompts import load
from netwright.types import Candidate, Context, Verdict

logger = logging.getLogger(__name__)

_CHANGE_CHARACTERS = 12_000
_PLAN_CHARACTERS = 1200
_NOTHING = "Nothing was measured yet."

Kind = TypeVar("Kind", bound=BaseModel)


class LlmCritic:
    """Implements `Critic` with one endpoint; an endpoint that fails costs the words and nothing else."""

    def __init__(
        self,
        endpoint: Correspondent,
        ledger: Ledger,
        *,
        temperature: float | None = 0.3,
        max_tokens: int = 1500,
        context_tokens: int = WANTED_CONTEXT,
    ) -> None:
        self._endpoint = endpoint
        self._ledger = ledger
        self._temperature = temperature
        self._max_tokens = answer_room(context_tokens, max_tokens)
        self._room = question_room(context_tokens, self._max_tokens, len(load("critic").text))

    async def weigh(self, context: Context, plans: Sequence[Plan]) -> Sequence[float] | None:
        """See `Critic`. A plan it does not name gets what the worst one got."""
        said = await self._ask(context, "critic_plans", plans_text(context, plans, self._room), Opinions)
        if said is None:
            return None
        given = {each.plan: each.score for each in said[0].opinions if 1 <= each.plan <= len(plans)}
        return [given.get(number, min(given.values())) for number in range(1, len(plans) + 1)] if given else None

    async def comment(self, context: Context, candidate: Candidate, verdict: Verdict) -> Verdict:
        """See `Critic`. Without usable words the verdict comes back as it was."""
        case = case_text(context, candidate, verdict, self._room)
        said = await self._ask(context, "critic_case", case, Comment)
        return verdict if said is None else _worded(verdict, *said)

    async def _ask(self, context: Context, prompt: str, text: str, kind: type[Kind]) -> tuple[Kind, str] | None:
        """Return what the critic says, and its model; None where nothing usable came."""
        request = ChatRequest(
            role="critic",
            messages=(
                {"role": "system", "content": load("critic").text.strip()},
                {"role": "user", "content": text},
            ),
            prompt_sha256=joint_sha256("critic", prompt),
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            schema=plain_schema(kind),
            action=context.action,
            tag=f"action={context.action}",
        )
        try:
            reply = await self._endpoint.chat(request, self._ledger)
        except ProviderError as error:
            logger.warning("the critic has nothing to say on action=%d: %s", context.action, error)
            return None
        split = split_thinking(reply.text)
        answer = read_object(split.answer or split.thinking, kind)
        if isinstance(answer, Defect):
            logger.warning("the critic's reply on action=%d was unusable: %s", context.action, answer.problem)
            return None
        return answer, reply.model


def plans_text(context: Context, plans: Sequence[Plan], room: Room) -> str:
    """Lay plans before the critic, beside what was measured so far."""
    prompt, task = load("critic_plans"), task_text(context.task)
    told = as_data("\n".join(_plan_line(number, plan) for number, plan in enumerate(plans, 1)))
    evidence = case_evidence_text(context, room.beside(prompt.text, task, told)) or _NOTHING
    return prompt.render(task=task, evidence=evidence, operator=context.operator.value, plans=told).strip()


def _plan_line(number: int, plan: Plan) -> str:
    idea = one_line(f"{plan.hypothesis} Changes: {plan.changes} Expected: {plan.expected_effect}", _PLAN_CHARACTERS)
    return f"{number}. {one_line(plan.title, 120)}: {idea}"


def case_text(context: Context, candidate: Candidate, verdict: Verdict, room: Room) -> str:
    """Lay the case before the critic: what changed, and the verdict in numbers."""
    prompt = load("critic_case")
    told = {
        "task": task_text(context.task),
        "title": one_line(candidate.title, 120),
        "operator": context.operator.value,
        "hypothesis": quoted(candidate.hypothesis),
        "change": _change_text(context, candidate),
        "verdict": as_data(verdict_text(verdict, context.task.unit)),
    }
    evidence = case_evidence_text(context, room.beside(prompt.text, *told.values())) or _NOTHING
    return prompt.render(evidence=evidence, **told).strip()


def _change_text(context: Context, candidate: Candidate) -> str:
    """Show the difference to the first parent, or the whole file where that says more."""
    if context.parents:
        parent = context.parents[0].candidate
        lines = list(
            difflib.unified_diff(
                parent.source.splitlines(),
                candidate.source.splitlines(),
                "parent",
                "design",
                n=2,
                lineterm="",
            )
        )
        diff = "\n".join(lines)
        if len(diff) < len(candidate.source):
            return fenced(diff[:_CHANGE_CHARACTERS], "diff")
    return fenced(candidate.source[:_CHANGE_CHARACTERS], "python")


def _worded(verdict: Verdict, comment: Comment, model: str) -> Verdict:
    words = [comment.words]
    words += [f"Mechanism: {comment.mechanism}"] if comment.mechanism else []
    words += [f"Test: {comment.test}"] if comment.test else []
    return verdict.model_copy(
        update={
            "changed": comment.changed or verdict.changed,
            "words": " ".join(words),
            "lesson": comment.lesson or verdict.lesson,
            "author": f"llm:{model}",
        }
    )
