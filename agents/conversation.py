"""Asking a model until its answer is whole: what is wrong or missing is told, what came right is kept."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, Self, TypedDict, TypeVar

from netwright.agents.base import Correspondent, Ledger
from netwright.agents.chat import ChatRequest, Reply, cautious_tokens
from netwright.agents.context_text import system_text
from netwright.agents.faults import EndpointError, Fault
from netwright.agents.replies import split_thinking
from netwright.agents.room import WANTED_CONTEXT, Room, answer_room, question_room
from netwright.errors import MalformedReply
from netwright.prompts import load
from netwright.types import Context, JsonDict

logger = logging.getLogger(__name__)

_ECHO_CHARACTERS = 24_000
_TOO_LONG = frozenset({Fault.OVERFLOW, Fault.HOLLOW})
"""Faults that a shorter question may mend: some servers say nothing at all when a prompt is too long."""

Message = dict[str, str]


class Answer(Protocol):
    """What came so far of an answer that may take several replies.

    `problem` says what is wrong and `wanted` is the message that asks for what is missing; both are empty when the
    answer is complete. `cut_off` tells that the token limit ended the last reply.
    """

    @property
    def problem(self) -> str: ...

    @property
    def wanted(self) -> str: ...

    @property
    def cut_off(self) -> bool: ...

    @property
    def complete(self) -> bool: ...

    def absorb(self, raw: str, *, cut_off: bool) -> Self:
        """Take in what is usable of the raw reply `raw`."""
        ...


Kind = TypeVar("Kind", bound=Answer)


class Occasion(NamedTuple):
    """What a question is asked for: a tag that tells it from equal ones, and the action it belongs to, if it does."""

    tag: str
    action: int | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a role asks. `text` writes the user's message so that it fits its room.

    `prompts` names the templates it is made of. `about` is what it is asked for; None: for a step of the search.
    """

    role: str
    prompts: tuple[str, ...]
    context: Context
    text: Callable[[Room], str]
    schema: JsonDict | None = None
    about: Occasion | None = None


class Manner(TypedDict, total=False):
    """How a role asks, where that differs from what it has of its own; see `Conversation`."""

    temperature: float | None
    max_tokens: int
    context_tokens: int
    repairs: int


class Conversation:
    """How one role asks one endpoint.

    Args:
        endpoint: whom to ask.
        ledger: where every call is looked up and recorded.
        temperature: None leaves it to the server.
        max_tokens: of one answer, as far as the context has room for it; doubled after an answer was cut off.
        context_tokens: of the model, for prompt and answer; what is told is halved once if it proves to be less, be it
            that the server says so or that it falls silent.
        repairs: how often a malformed answer is sent back.
    """

    def __init__(
        self,
        endpoint: Correspondent,
        ledger: Ledger,
        *,
        temperature: float | None = None,
        max_tokens: int = 6000,
        context_tokens: int = WANTED_CONTEXT,
        repairs: int = 2,
    ) -> None:
        self._endpoint = endpoint
        self._ledger = ledger
        self._temperature = temperature
        self._max_tokens = answer_room(context_tokens, max_tokens)
        self._context_tokens = context_tokens
        self._repairs = repairs

    async def answer(self, question: Question, answer: Kind) -> tuple[Kind, str]:
        """Ask, and ask again for what is missing; return a complete answer and the model's name.

        Raises:
            MalformedReply: nothing usable after all repairs; the message says what was wrong.
            ProviderError: the endpoint gave no answer.
        """
        request, reply = await self._ask_or_halve(question, self._request(question))
        for turn in range(self._repairs + 1):
            answer = answer.absorb(reply.text, cut_off=reply.cut_off)
            if answer.complete:
                return answer, reply.model
            logger.info("reply not usable role=%s turn=%d: %s", request.role, turn, answer.problem)
            if turn < self._repairs:
                request = self._asking_again(request, reply, answer, turn + 1)
                request, reply = await self._ask_or_halve(question, request)
        raise MalformedReply(
            f"model {reply.model!r} gave no usable {request.role} answer in {self._repairs + 1} tries; "
            f"at last {answer.problem} A larger model may do better, or more tokens if it was cut off."
        )

    async def _ask_or_halve(self, question: Question, request: ChatRequest) -> tuple[ChatRequest, Reply]:
        """Ask; if it is too long for the model, once more from the start with half the evidence and half the answer."""
        try:
            return request, await self._endpoint.chat(request, self._ledger)
        except EndpointError as error:
            if error.fault not in _TOO_LONG:
                raise
            logger.info("the prompt of %d characters is too long: halving the evidence", request.characters)
        shorter = replace(self._request(question, halved=True), tag=request.tag)
        return shorter, await self._endpoint.chat(shorter, self._ledger)

    def _request(self, question: Question, *, halved: bool = False) -> ChatRequest:
        context = question.context
        step = Occasion(f"action={context.action} attempt={context.attempt} seed={context.seed}", context.action)
        about = question.about or step
        system = system_text(context)
        room = question_room(self._context_tokens, self._max_tokens, len(system))
        return ChatRequest(
            role=question.role,
            messages=(
                {"role": "system", "content": system},
                {"role": "user", "content": question.text(room.half() if halved else room).strip()},
            ),
            prompt_sha256=joint_sha256("system", *question.prompts),
            max_tokens=self._max_tokens // 2 if halved else self._max_tokens,
            temperature=self._temperature,
            schema=question.schema,
            action=about.action,
            tag=about.tag,
            model=context.model,
        )

    def _asking_again(self, request: ChatRequest, reply: Reply, answer: Answer, turn: int) -> ChatRequest:
        """Continue the conversation by the reply and by what is wrong with it."""
        note = load("malformed").render(problem=answer.problem, wanted=answer.wanted).strip()
        asked = replace(
            request,
            messages=_continued(request.messages, split_thinking(reply.text).answer, note),
            tag=f"{request.tag.partition(' turn=')[0]} turn={turn}",
        )
        if not answer.cut_off:
            return asked
        longest = self._context_tokens - cautious_tokens(asked.characters)
        return replace(asked, max_tokens=max(request.max_tokens, min(2 * request.max_tokens, longest)))


def joint_sha256(*names: str) -> str:
    """Return one SHA-256 in hex for the prompts of those names."""
    return hashlib.sha256("".join(load(name).sha256 for name in names).encode()).hexdigest()


def _continued(messages: tuple[Message, ...], said: str, note: str) -> tuple[Message, ...]:
    """Roles must alternate and no message may be empty, so after silence the note joins the last question."""
    if said.strip():
        echo = {"role": "assistant", "content": said[:_ECHO_CHARACTERS]}
        return (*messages, echo, {"role": "user", "content": note})
    return (*messages[:-1], {"role": "user", "content": f"{messages[-1]['content']}\n\n{note}"})
