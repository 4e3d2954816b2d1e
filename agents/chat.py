"""What is asked of an endpoint and what it answers, and how both are written into the ledger. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from netwright.agents.faults import EndpointError
from netwright.types import JsonDict, LlmCall

CHARACTERS_PER_TOKEN = 4.0
"""A rough figure for English and code, used where a server does not count for us."""

CAUTIOUS_CHARACTERS_PER_TOKEN = 3.0

CUT_OFF = "cut off"
"""Status of a recorded reply that the token limit ended."""

_MOST_TOKENS = 10**8
"""No request has more; a count beyond it is a server's slip."""

_SCHEMA_WORDS = frozenset({"type", "properties", "required", "items", "enum", "anyOf"})
"""What every engine for constrained answers knows of JSON schema; lengths and defaults are checked here."""


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What is asked. `role` names the asker; `tag` the occasion, so that equal requests may be asked anew.

    `action` is the action of the search that it is for, if any; it is told to the memory and not to the model.
    `temperature` None leaves it to the server. `schema` asks for JSON of that form where the server has a way. `model`
    is the one drawn to answer, where there are several; an endpoint of one model takes no notice.
    """

    role: str
    messages: tuple[dict[str, str], ...]
    prompt_sha256: str = ""
    max_tokens: int = 4096
    temperature: float | None = None
    schema: JsonDict | None = None
    tag: str = ""
    action: int | None = None
    model: str = ""

    def key(self, model: str) -> str:
        """Return the SHA-256 in hex of what was asked; of a schema only that there is one, as the prompt tells it."""
        sampling = [self.max_tokens, self.temperature, self.schema is not None]
        text = json.dumps([self.role, model, self.messages, sampling, self.tag], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def characters(self) -> int:
        return sum(len(message["content"]) for message in self.messages)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A raw reply (see `replies`), whether the token limit cut it off, and what it cost.

    `reasoning` is where it had reasoning, see `reasoning_place`. `first_seconds` is the time to its first token, or to
    its end where it came whole; `seconds` that to its end.
    """

    text: str
    cut_off: bool
    model: str
    prompt_tokens: int
    completion_tokens: int
    tokens_estimated: bool
    cached_tokens: int | None = None
    replayed: bool = False
    streamed: bool = False
    reasoning: str | None = None
    first_seconds: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Progress:
    """How far an answer is: who asked for it, its characters so far, and the seconds since its first one."""

    role: str
    request: int
    characters: int
    seconds: float
    ended: bool = False

    @property
    def tokens(self) -> int:
        """About so many tokens."""
        return estimated_tokens(self.characters)


@cache
def plain_schema(kind: type[BaseModel]) -> JsonDict:
    """Return the JSON schema of `kind` in the words that all servers know; the rest is for local validation.

    It is made once, and not to be changed.
    """
    whole = kind.model_json_schema()
    schema: JsonDict = _plain(whole, whole.get("$defs", {}))
    return schema


def _plain(schema: Any, defined: JsonDict) -> Any:
    if isinstance(schema, list):
        return [_plain(item, defined) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        # Not every engine follows references; what they name is put in their place.
        return _plain(defined[schema["$ref"].removeprefix("#/$defs/")], defined)
    kept = {word: value for word, value in schema.items() if word in _SCHEMA_WORDS}
    return {
        word: {name: _plain(inner, defined) for name, inner in value.items()}
        if word == "properties"
        else _plain(value, defined)
        for word, value in kept.items()
    }


def estimated_tokens(characters: int) -> int:
    return round(characters / CHARACTERS_PER_TOKEN)


def cautious_tokens(characters: int) -> int:
    """Return a count that a text seldom exceeds, for what must be known before it is sent."""
    return math.ceil(characters / CAUTIOUS_CHARACTERS_PER_TOKEN)


def count_tokens(body: JsonDict, prompt_characters: int, reply_characters: int) -> tuple[int, int, bool]:
    """Return prompt tokens, completion tokens, and whether they had to be estimated."""
    usage = body.get("usage")
    if isinstance(usage, dict):
        prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        if prompt is not None and completion is not None:
            return prompt, completion, False
    return estimated_tokens(prompt_characters), estimated_tokens(reply_characters), True


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= _MOST_TOKENS else None


def cached_tokens(body: JsonDict) -> int | None:
    """Return how many tokens of the prompt the server says it had kept; None where it does not tell.

    OpenAI, vLLM, llama.cpp and SGLang tell it in the details of the prompt, DeepSeek beside the counts.
    """
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    told = details.get("cached_tokens") if isinstance(details, dict) else usage.get("prompt_cache_hit_tokens")
    prompt = usage.get("prompt_tokens")
    if type(told) is not int or type(prompt) is not int:
        return None
    return told if 0 <= told <= prompt else None


def folded(messages: tuple[dict[str, str], ...]) -> list[dict[str, str]]:
    """Return the same conversation without a system role: its text opens the first user message."""
    if len(messages) < 2 or messages[0]["role"] != "system":
        return list(messages)
    first = {"role": "user", "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
    return [first, *messages[2:]]


def replayed(call: LlmCall) -> Reply:
    """Return the reply that `call` recorded."""
    return Reply(
        text=call.reply or "",
        cut_off=call.status == CUT_OFF,
        model=call.model,
        prompt_tokens=call.prompt_tokens or 0,
        completion_tokens=call.completion_tokens or 0,
        tokens_estimated=call.tokens_estimated,
        replayed=True,
    )


def answered_call(request: ChatRequest, key: str, reply: Reply, troubles: str, seconds: float) -> LlmCall:
    """Return the ledger's entry for an answer; `troubles` tells of the tries that failed before it."""
    return LlmCall(
        key=key,
        role=request.role,
        model=reply.model,
        prompt_sha256=request.prompt_sha256,
        messages=request.messages,
        action=request.action,
        tag=request.tag,
        reply=reply.text,
        status=CUT_OFF if reply.cut_off else "ok",
        error=troubles,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        tokens_estimated=reply.tokens_estimated,
        cached_tokens=reply.cached_tokens,
        seconds=seconds,
    )


def failed_call(request: ChatRequest, model: str, key: str, error: EndpointError, seconds: float) -> LlmCall:
    """Return the ledger's entry for a request that got no answer."""
    return LlmCall(
        key=key,
        role=request.role,
        model=model,
        prompt_sha256=request.prompt_sha256,
        messages=request.messages,
        action=request.action,
        tag=request.tag,
        reply=None,
        status=error.fault.value,
        error=str(error),
        seconds=seconds,
    )
