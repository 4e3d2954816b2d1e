"""Asking a model for one JSON object, by a role that can do without: whatever goes wrong costs the answer alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from pydantic import BaseModel

from netwright.agents.base import Correspondent, Ledger
from netwright.agents.chat import ChatRequest, plain_schema
from netwright.agents.context_text import system_text
from netwright.agents.conversation import joint_sha256
from netwright.agents.replies import Defect, read_object, split_thinking
from netwright.agents.room import Room, answer_room, question_room
from netwright.errors import ProviderError
from netwright.types import Context

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=BaseModel)


class Occasion(NamedTuple):
    """What a question is asked for: a tag that tells it from equal ones, and the action it belongs to, if it does."""

    tag: str
    action: int | None = None


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How `role` asks; like those of all roles its questions begin with the system message.

    The prompt called `role` says what that is, and belongs into its questions. `temperature` None leaves it to the
    server.
    """

    role: str
    endpoint: Correspondent
    ledger: Ledger
    temperature: float | None
    max_tokens: int
    context_tokens: int

    def room(self, context: Context) -> Room:
        """What a question may hold."""
        return question_room(self.context_tokens, self.max_tokens, len(system_text(context)))

    async def once(
        self, prompt: str, text: str, kind: type[Kind], context: Context, about: Occasion
    ) -> tuple[Kind, str] | None:
        """Ask `text`, which was made from the template `prompt`; the answer and its model, None if it is unusable."""
        request = ChatRequest(
            role=self.role,
            messages=(
                {"role": "system", "content": system_text(context)},
                {"role": "user", "content": text},
            ),
            prompt_sha256=joint_sha256("system", self.role, prompt),
            max_tokens=answer_room(self.context_tokens, self.max_tokens),
            temperature=self.temperature,
            schema=plain_schema(kind),
            action=about.action,
            tag=about.tag,
        )
        try:
            reply = await self.endpoint.chat(request, self.ledger)
        except ProviderError as error:
            logger.warning("the %s has nothing to say (%s): %s", self.role, about.tag, error)
            return None
        split = split_thinking(reply.text)
        answer = read_object(split.answer or split.thinking, kind)
        if isinstance(answer, Defect):
            logger.warning("the %s's reply was unusable (%s): %s", self.role, about.tag, answer.problem)
            return None
        return answer, reply.model
