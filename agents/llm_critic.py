"""A critic that asks an LLM: what to expect of plans, and how a verdict reads in words. Numbers stay as they are."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from netwright.agents.asking import Asking
from netwright.agents.base import Correspondent, Ledger
from netwright.agents.context_text import case_evidence_text, score_text, verdict_text
from netwright.agents.conversation import Occasion
from netwright.agents.quoting import as_data, one_line, quoted, quoted_code
from netwright.agents.replies import Comment, Opinions, Plan
from netwright.agents.room import WANTED_CONTEXT, Room
from netwright.prompts import load
from netwright.types import Candidate, Context, Score, Verdict

_CHANGE_CHARACTERS = 12_000
_PLAN_CHARACTERS = 1200
_NOTHING = "Nothing was measured yet."


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
        self._asking = Asking(
            "critic",
            endpoint,
            ledger,
            temperature=temperature,
            max_tokens=max_tokens,
            context_tokens=context_tokens,
        )

    async def weigh(self, context: Context, plans: Sequence[Plan]) -> Sequence[float] | None:
        """See `Critic`. A plan it does not name gets what the worst one got."""
        said = await self._asking.answer(
            "critic_plans", lambda room: plans_text(context, plans, room), Opinions, context, _about(context)
        )
        if said is None:
            return None
        given = {each.plan: each.score for each in said[0].opinions if 1 <= each.plan <= len(plans)}
        return [given.get(number, min(given.values())) for number in range(1, len(plans) + 1)] if given else None

    async def comment(self, context: Context, candidate: Candidate, score: Score | None, verdict: Verdict) -> Verdict:
        """See `Critic`. Without usable words the verdict comes back as it was."""

        def text(room: Room) -> str:
            return case_text(context, candidate, score, verdict, room)

        said = await self._asking.answer("critic_case", text, Comment, context, _about(context))
        return verdict if said is None else _worded(verdict, *said)


def _about(context: Context) -> Occasion:
    return Occasion(f"action={context.action}", context.action)


def plans_text(context: Context, plans: Sequence[Plan], room: Room) -> str:
    """Lay plans before the critic, beside what was measured so far."""
    prompt, role = load("critic_plans"), load("critic").text.strip()
    told = as_data("\n".join(_plan_line(number, plan) for number, plan in enumerate(plans, 1)))
    evidence = case_evidence_text(context, room.beside(prompt.text, role, told)) or _NOTHING
    return prompt.render(role=role, evidence=evidence, operator=context.operator.value, plans=told).strip()


def _plan_line(number: int, plan: Plan) -> str:
    idea = one_line(f"{plan.hypothesis} Changes: {plan.changes} Expected: {plan.expected_effect}", _PLAN_CHARACTERS)
    return f"{number}. {one_line(plan.title, 120)}: {idea}"


def case_text(context: Context, candidate: Candidate, score: Score | None, verdict: Verdict, room: Room) -> str:
    """Lay the case before the critic: what changed, and the verdict in numbers."""
    prompt = load("critic_case")
    told = {
        "role": load("critic").text.strip(),
        "title": one_line(candidate.title, 120),
        "operator": context.operator.value,
        "hypothesis": quoted(candidate.hypothesis),
        "change": _change_text(context, candidate),
        "score": score_text(score, context.task),
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
            return quoted_code(diff[:_CHANGE_CHARACTERS], "diff")
    return quoted_code(candidate.source[:_CHANGE_CHARACTERS])


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
