"""A critic that puts the statistical verdict into an LLM's words; numbers and outcome stay as they are."""

from __future__ import annotations

import difflib
import hashlib
import logging

from netwright.agents.base import Ledger
from netwright.agents.chat import ChatRequest, plain_schema
from netwright.agents.context_text import case_evidence_text, task_text, verdict_text
from netwright.agents.endpoint import Endpoint
from netwright.agents.quoting import fenced, one_line, quoted
from netwright.agents.replies import Comment, Defect, read_object, split_thinking
from netwright.errors import ProviderError
from netwright.prompts import load
from netwright.types import Candidate, Context, Verdict

logger = logging.getLogger(__name__)

_CHANGE_CHARACTERS = 12_000


class LlmCritic:
    """Implements `Critic` with one endpoint; an endpoint that fails costs the words and nothing else."""

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        *,
        temperature: float | None = 0.3,
        max_tokens: int = 1500,
        budget_characters: int = 20_000,
    ) -> None:
        self._endpoint = endpoint
        self._ledger = ledger
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._budget_characters = budget_characters

    async def comment(self, context: Context, candidate: Candidate, verdict: Verdict) -> Verdict:
        """See `Critic`. Without usable words the verdict comes back as it was."""
        request = ChatRequest(
            role="critic",
            messages=(
                {"role": "system", "content": load("critic").text.strip()},
                {"role": "user", "content": case_text(context, candidate, verdict, self._budget_characters)},
            ),
            prompt_sha256=hashlib.sha256((load("critic").sha256 + load("critic_case").sha256).encode()).hexdigest(),
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            schema=plain_schema(Comment),
            tag=f"action={context.action}",
        )
        try:
            reply = await self._endpoint.chat(request, self._ledger)
        except ProviderError as error:
            logger.warning("no comment on candidate=%.12s: %s", candidate.id, error)
            return verdict
        split = split_thinking(reply.text)
        comment = read_object(split.answer or split.thinking, Comment)
        if isinstance(comment, Defect):
            logger.warning("no comment on candidate=%.12s: the reply was unusable: %s", candidate.id, comment.problem)
            return verdict
        return _worded(verdict, comment, reply.model)


def case_text(context: Context, candidate: Candidate, verdict: Verdict, budget_characters: int) -> str:
    """Lay the case before the critic: what changed, and the verdict in numbers."""
    text = load("critic_case").render(
        task=task_text(context.task),
        title=one_line(candidate.title, 120),
        operator=context.operator.value,
        hypothesis=quoted(candidate.hypothesis),
        change=_change_text(context, candidate),
        verdict=verdict_text(verdict, context.task.unit),
        evidence=case_evidence_text(context, budget_characters) or "Nothing was measured yet.",
    )
    return text.strip()


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
    return verdict.model_copy(
        update={
            "changed": comment.changed or verdict.changed,
            "words": comment.words,
            "lesson": comment.lesson or verdict.lesson,
            "author": f"llm:{model}",
        }
    )
