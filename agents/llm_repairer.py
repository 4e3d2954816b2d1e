"""A repairer that shows an LLM what the laboratory said of a file, and asks for the file mended."""

from __future__ import annotations

import logging
from typing import Unpack

from netwright.agents.answers import FileAnswer
from netwright.agents.base import Correspondent, Ledger
from netwright.agents.context_text import CODE_CHARACTERS, repair_evidence_text
from netwright.agents.conversation import Conversation, Manner, Question
from netwright.agents.quoting import one_line, quoted, quoted_code
from netwright.agents.replies import Plan
from netwright.agents.room import Room
from netwright.agents.writing import class_name, form_of, written
from netwright.prompts import load
from netwright.types import Context, Proposal

logger = logging.getLogger(__name__)


class LlmRepairer:
    """Implements `Repairer` with one endpoint; see `Conversation` for what it takes.

    With `edits`, the mended file may come as search/replace blocks.
    """

    def __init__(
        self,
        endpoint: Correspondent,
        ledger: Ledger,
        *,
        edits: bool = False,
        **manner: Unpack[Manner],
    ) -> None:
        self._edits = edits
        self._conversation = Conversation(endpoint, ledger, **(Manner(temperature=0.3) | manner))

    async def repair(self, context: Context, failed: Proposal, failure: str) -> Proposal | None:
        """See `Repairer`. Without a new plan the old one stays. None: the file came back unchanged.

        Raises:
            MalformedReply: no usable file after all repairs of the answer's form.
            ProviderError: the endpoint gave no answer.
        """
        form, prompts = form_of("the one that was stopped" if self._edits else None)
        question = Question(
            role="repairer",
            prompts=("repairer", *prompts),
            context=context,
            text=lambda room: repair_text(context, failed, failure, form, room),
        )
        known = Plan(title=failed.title[:200] or "untitled", hypothesis=failed.hypothesis or "none given")
        wanted = FileAnswer(class_name=class_name(context), plan=known, base=failed.source if self._edits else None)
        answer, model = await self._conversation.answer(question, wanted)
        assert answer.source is not None
        if answer.source.strip() == failed.source.strip():
            logger.info("repair changed nothing action=%d title=%s", context.action, failed.title)
            return None
        return written(answer.plan, answer.source, model)


def repair_text(context: Context, failed: Proposal, failure: str, form: str, room: Room) -> str:
    """Lay a rejected file before the repairer, with what was said of it, and in which `form` to answer."""
    prompt = load("repairer")
    told = {
        "title": one_line(failed.title, 120),
        "hypothesis": one_line(failed.hypothesis),
        "source": quoted_code(failed.source[:CODE_CHARACTERS]),
        "failure": quoted(failure),
        "form": form,
    }
    return prompt.render(evidence=repair_evidence_text(context, room.beside(prompt.text, *told.values())), **told)
