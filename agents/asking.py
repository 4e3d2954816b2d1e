"""Asking a model for one JSON object, by a role that can do without: whatever goes wrong costs the answer alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from netwright.agents.answers import ObjectAnswer
from netwright.agents.base import Correspondent, Ledger
from netwright.agents.chat import plain_schema
from netwright.agents.conversation import Conversation, Occasion, Question
from netwright.agents.room import Room
from netwright.errors import ProviderError
from netwright.types import Context

logger = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=BaseModel)
_REPAIRS = 1


class Asking:
    """How `role` asks; like those of all roles its questions begin with the system message. See `Conversation`.

    The prompt called `role` says what that is, and belongs into its questions.
    """

    def __init__(
        self,
        role: str,
        endpoint: Correspondent,
        ledger: Ledger,
        *,
        temperature: float | None,
        max_tokens: int,
        context_tokens: int,
    ) -> None:
        self._role = role
        self._conversation = Conversation(
            endpoint,
            ledger,
            temperature=temperature,
            max_tokens=max_tokens,
            context_tokens=context_tokens,
            repairs=_REPAIRS,
        )

    async def answer(
        self, prompt: str, text: Callable[[Room], str], kind: type[Kind], context: Context, about: Occasion
    ) -> tuple[Kind, str] | None:
        """Ask what `text` writes from the template `prompt`; the answer and its model, None if there is none of use."""
        question = Question(
            role=self._role,
            prompts=(self._role, prompt),
            context=context,
            text=text,
            schema=plain_schema(kind),
            about=about,
        )
        try:
            answer, model = await self._conversation.answer(question, ObjectAnswer(kind=kind))
        except ProviderError as error:
            logger.warning("the %s has nothing to say (%s): %s", self._role, about.tag, error)
            return None
        assert answer.value is not None
        return answer.value, model
