"""What a check asks an endpoint, and how its answers are read. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from netwright.agents.chat import CHARACTERS_PER_TOKEN, ChatRequest, Reply, estimated_tokens
from netwright.agents.edit_tasks import TASKS
from netwright.agents.replies import json_objects, split_thinking
from netwright.types import JsonDict

CHAT_TOKENS = 400
SPEED_TOKENS = 128
SHORT_TOKENS = 48
CANARY_TOKENS = 200
EDIT_TOKENS = 1_500
LONGEST_PROMPT = 16_384
SHORTEST_PROMPT = 1_024
AT_ONCE = (2, 4)
WORTH_IT = 1.15
_CUT_SHARE = 0.7

PASSWORD = "KESTREL-7319"
SCHEMA: JsonDict = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["teal", "amber"]}, "waves": {"type": "integer"}},
    "required": ["colour", "waves"],
}
_WORDS = (
    "river stone cloud ember field harbour lantern meadow orchard pebble quarry saddle timber valley willow".split()
)


def chat_request() -> ChatRequest:
    """A question that every chat model can answer in one word."""
    return _request("Reply with the single word: ready", CHAT_TOKENS)


def system_request() -> ChatRequest:
    """A question that only the system message answers."""
    system = {"role": "system", "content": f"You are a clerk. The password of today is {PASSWORD}."}
    return _request("What is the password of today? Reply with the password alone.", CHAT_TOKENS, (system,))


def json_request() -> ChatRequest:
    """A question that nobody would answer in JSON unasked, so that a form that is kept was enforced."""
    return _request("Describe the sea in one short sentence.", CHAT_TOKENS, schema=SCHEMA)


def speed_request() -> ChatRequest:
    """A request for more words than it may have."""
    return _request("Count upwards from one in words, up to five hundred.", SPEED_TOKENS)


def short_request(number: int) -> ChatRequest:
    """One of several different requests of the same length."""
    return _request(f"Count upwards from {number * 100 + 1} in words, up to five hundred more.", SHORT_TOKENS)


def edit_requests() -> list[ChatRequest]:
    """For each of `edit_tasks.TASKS` its question."""
    return [_request(task.question, EDIT_TOKENS) for task in TASKS]


def canary_request(tokens: int) -> ChatRequest:
    """A prompt of about `tokens` tokens that says the password at its beginning and asks for it at its end."""
    lines, left = [f"The password is {PASSWORD}. Remember it.", ""], int(tokens * CHARACTERS_PER_TOKEN) - 200
    for number in range(tokens):
        words = (_WORDS[(number * step + step) % len(_WORDS)] for step in (1, 2, 4, 7, 11))
        lines.append(f"Entry {number}: {' '.join(words)}.")
        left -= len(lines[-1]) + 1
        if left <= 0:
            break
    lines += ["", "What is the password that was told at the very beginning? Reply with the password alone."]
    return _request("\n".join(lines), CANARY_TOKENS)


def prompt_sizes(longest: int) -> list[int]:
    """Lengths of prompts in tokens, doubling up to `longest`."""
    sizes = [SHORTEST_PROMPT]
    while sizes[-1] * 2 <= longest:
        sizes.append(sizes[-1] * 2)
    return sizes


def cost(longest: int | None) -> tuple[int, int]:
    """About how many tokens a check sends, and how many it can get back at most; None is a quick one."""
    answers = 1 + 5 * CHAT_TOKENS + SPEED_TOKENS + (1 + sum(AT_ONCE)) * SHORT_TOKENS
    if longest is None:
        return 300, answers
    sizes, edits = prompt_sizes(longest), edit_requests()
    sent = sum(sizes) + sum(estimated_tokens(request.characters) for request in edits)
    return 300 + sent, answers + len(sizes) * CANARY_TOKENS + len(edits) * EDIT_TOKENS


def tells_password(reply: Reply) -> bool:
    return PASSWORD.lower() in reply.text.lower()


def keeps_schema(reply: Reply) -> bool:
    """Whether the answer is one object of the schema, and nothing beside it."""
    value = _only_object(reply)
    return value is not None and (
        set(value) == set(SCHEMA["properties"])
        and value["colour"] in SCHEMA["properties"]["colour"]["enum"]
        and type(value["waves"]) is int
    )


def is_json(reply: Reply) -> bool:
    """Whether the answer is one JSON object and nothing beside it."""
    return _only_object(reply) is not None


def _only_object(reply: Reply) -> JsonDict | None:
    text = split_thinking(reply.text).answer.strip()
    found = next(json_objects(text), None)
    try:
        return found if found == json.loads(text, strict=False) else None
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True)
class Span:
    """When an answer was being written: seconds from a common clock; one that came whole has no length."""

    first: float
    end: float


def most_at_once(spans: list[Span]) -> int:
    """How many answers were being written at one moment, at most. Of answers that come whole nothing is known."""
    return max(sum(other.first <= span.first < other.end for other in spans) for span in spans)


def was_cut(reply: Reply, characters: int, characters_per_token: float) -> bool:
    """Whether the server counted far fewer tokens than were sent; False where it does not count."""
    return not reply.tokens_estimated and reply.prompt_tokens < _CUT_SHARE * characters / characters_per_token


def _request(
    text: str, max_tokens: int, before: tuple[dict[str, str], ...] = (), schema: JsonDict | None = None
) -> ChatRequest:
    messages = (*before, {"role": "user", "content": text})
    return ChatRequest(role="check", messages=messages, max_tokens=max_tokens, temperature=0.0, schema=schema)
