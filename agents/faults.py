"""What can go wrong between us and an endpoint, sorted by what to do about it. Pure."""

from __future__ import annotations

import json
import re
from enum import StrEnum

from netwright.errors import ProviderError
from netwright.types import JsonDict

_OVERFLOW = re.compile(
    r"context.{0,12}(length|size|window|limit)|exceed_context_size|too many (input )?tokens|"
    r"(prompt|input) (is )?too long|n_ctx|maximum (allowed|prompt|input) length|reduce the length of the|"
    r"(exceeds?|larger than|greater than).{0,40}\bcontext\b|"
    r"(prompt|input) (token count|tokens|length).{0,40}(exceeds?|should be|maximum)",
    re.IGNORECASE,
)
_LIMITS = (
    re.compile(r"n_ctx\W{1,4}(\d{3,})"),
    re.compile(r"(?:context|allowed)[ _](?:length|size|window)\D{0,25}(\d{3,})", re.IGNORECASE),
)
_SYSTEM_ROLE = re.compile(
    r"system.{0,20}\brole\b|\brole\b.{0,20}system|roles must alternate|alternate user/assistant",
    re.IGNORECASE,
)
_LOADING = re.compile(r"\bload(ing|ed)\b|warming|starting up|initiali[sz]ing|not ready", re.IGNORECASE)
_JSON_MODE = re.compile(
    r"response_format|json_schema|json_object|json mode|grammar|guided|structured output", re.IGNORECASE
)
_GONE_MODEL = re.compile(r"model (has |was |is )?(been )?(crashed|unloaded)|exit code", re.IGNORECASE)
_UNKNOWN_MODEL = re.compile(
    r"model.{0,80}(not found|does not exist|unknown|invalid|not available|not loaded|no such|pinned)|"
    r"(unknown|no such|invalid|unsupported|not a valid).{0,20}\bmodel\b|model_not_found|is pinned to|"
    r"no models? (is |are )?loaded",
    re.IGNORECASE | re.DOTALL,
)


class Fault(StrEnum):
    """The kinds of failure; the value is what the memory shows as a call's status."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    LOADING = "loading its model"
    BROKEN = "the answer broke off"
    RATE_LIMITED = "rate limited"
    SERVER_ERROR = "server error"
    HOLLOW = "no answer in the reply"
    NOT_CHAT = "not a chat endpoint"
    KEY_REFUSED = "key refused"
    UNKNOWN_MODEL = "unknown model"
    OVERFLOW = "context too small"
    REFUSED = "request refused"

    @property
    def remedy(self) -> str:
        """What the user can do about it."""
        return _REMEDY[self]


PASSING = frozenset(
    {
        *(Fault.UNREACHABLE, Fault.TIMEOUT, Fault.LOADING, Fault.BROKEN),
        *(Fault.RATE_LIMITED, Fault.SERVER_ERROR, Fault.HOLLOW),
    }
)
"""Faults that may be gone at the next try; the others would only be repeated."""

_REMEDY = {
    Fault.UNREACHABLE: "start the server, or check the address and the port",
    Fault.TIMEOUT: "it may be loading the model, or be too slow: raise the time-outs or use a smaller model",
    Fault.LOADING: "wait until it has loaded its model, or raise total_timeout",
    Fault.BROKEN: "look into the server's log, and at proxies in between",
    Fault.RATE_LIMITED: "ask with fewer requests at once, or wait",
    Fault.SERVER_ERROR: "look into the server's log",
    Fault.HOLLOW: "look into the server's log, or try another model",
    Fault.NOT_CHAT: "give the URL of an OpenAI-compatible API; it usually ends in /v1",
    Fault.KEY_REFUSED: "check the API key",
    Fault.UNKNOWN_MODEL: "name a model that the endpoint serves",
    Fault.OVERFLOW: "load the model with a larger context, or let prompts be shorter",
    Fault.REFUSED: "the server does not take such a request: try another model or server",
}


class EndpointError(ProviderError):
    """A request failed; `fault` says how, `retry_after_seconds` what the server asked for.

    `passing`: whether another try may help.
    """

    def __init__(
        self,
        message: str,
        *,
        fault: Fault,
        status_code: int | None = None,
        retry_after_seconds: float | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.status_code = status_code
        self.retry_after_seconds = retry_after_seconds
        self.detail = detail
        # A page in place of an answer may be a proxy's passing apology.
        self.passing = fault in PASSING or (fault is Fault.NOT_CHAT and status_code is None)


def fault_of_status(status_code: int, text: str) -> Fault:
    """Sort an HTTP error by its code and by what the body says.

    Servers answer an over-long prompt with 400, 413, 422 or 500, an unknown model with 400 or 404 and one that has
    crashed with 400, so the words count before the number.
    """
    if status_code in (401, 403):
        return Fault.KEY_REFUSED
    if status_code == 429:
        return Fault.RATE_LIMITED
    if _OVERFLOW.search(text) or status_code == 413:
        return Fault.OVERFLOW
    if status_code in (400, 404, 422) and _UNKNOWN_MODEL.search(text):
        return Fault.UNKNOWN_MODEL
    if status_code in (404, 405):
        return Fault.NOT_CHAT
    if status_code == 503 and _LOADING.search(text):
        return Fault.LOADING
    if status_code in (408, 409, 425) or status_code >= 500 or _GONE_MODEL.search(text):
        return Fault.SERVER_ERROR
    return Fault.REFUSED


def context_limit(text: str) -> int | None:
    """Return the context length in tokens that an error about it names."""
    found = next((match for pattern in _LIMITS if (match := pattern.search(text))), None)
    return int(found[1]) if found else None


def refuses_system_role(text: str) -> bool:
    """Whether an error text means that the model's chat template has no system role."""
    return _SYSTEM_ROLE.search(text) is not None


def refuses_json_mode(text: str) -> bool:
    """Whether an error text is about the form of the answer that was asked for."""
    return _JSON_MODE.search(text) is not None


def names_parameter(text: str, parameter: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9_]){re.escape(parameter)}(?![A-Za-z0-9_])", text) is not None


def error_text(body: str) -> str:
    """Return the sentence inside an error body (JSON of any shape, HTML or text), at most 300 characters."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", body, flags=re.DOTALL | re.IGNORECASE)
    text = _message_in(value)
    return " ".join(text.split())[:300] or "an empty body"


def _message_in(value: object) -> str:
    if isinstance(value, dict):
        for key in ("error", "message", "error_message", "detail", "msg"):
            if value.get(key):
                return _message_in(value[key])
        return json.dumps(value)
    if isinstance(value, list):
        return "; ".join(_message_in(item) for item in value)
    return str(value)


def parse_body(body: str) -> JsonDict:
    """Return the JSON object of a 200 reply that should be a chat completion.

    Raises:
        EndpointError: it is no JSON object, carries an error, or has no choices.
    """
    try:
        value = json.loads(body, strict=False)
    except (ValueError, RecursionError):
        kind = "an HTML page" if re.search(r"<(!doctype|html|body)\b", body[:2000], re.IGNORECASE) else "text"
        raise EndpointError(
            f"it answered 200 with {kind} instead of JSON: {error_text(body)!r}",
            fault=Fault.NOT_CHAT,
            detail=body[:2000],
        ) from None
    if isinstance(value, dict) and value.get("error"):
        raise error_inside(body)
    if not isinstance(value, dict) or not _first_message(value):
        raise EndpointError(
            f"it answered 200 with JSON that is no chat completion: {body[:200]!r}",
            fault=Fault.HOLLOW,
            detail=body[:2000],
        )
    return value


def error_inside(body: str) -> EndpointError:
    """Make the error that a body, or an event of a stream, with status 200 tells of."""
    text = error_text(body)
    return EndpointError(f"it answered 200 with an error inside: {text}", fault=_fault_inside(text), detail=text)


def _fault_inside(text: str) -> Fault:
    """LM Studio answers even an unknown path with 200."""
    if _OVERFLOW.search(text):
        return Fault.OVERFLOW
    return Fault.NOT_CHAT if re.search(r"unexpected endpoint|unknown (path|route)", text, re.I) else Fault.HOLLOW


def _first_message(value: JsonDict) -> JsonDict | None:
    choices = value.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return message if isinstance(message, dict) else None


def raw_reply(value: JsonDict) -> tuple[str, bool]:
    """Return the raw text of a completion (reasoning first, in think tags) and whether it was cut off."""
    message = _first_message(value) or {}
    content = _whole_characters(text_of(message.get("content")))
    reasoning = _whole_characters(text_of(message.get("reasoning_content")) or text_of(message.get("reasoning")))
    cut_off = value["choices"][0].get("finish_reason") == "length"
    if not reasoning:
        return content, cut_off
    closing = "" if cut_off and not content else "</think>\n"
    return f"<think>{reasoning}{closing}{content}", cut_off


def _whole_characters(text: str) -> str:
    """Join the halves of characters that came apart, and replace those without their other half: no UTF-8 has them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def reasoning_place(value: JsonDict) -> str | None:
    """Return where a completion has its reasoning: the name of a field, or `<think>` in the answer itself."""
    message = _first_message(value) or {}
    named = next((name for name in ("reasoning_content", "reasoning") if text_of(message.get(name))), None)
    return named or ("<think>" if re.search(r"</?think", text_of(message.get("content"))) else None)


def text_of(content: object) -> str:
    """Content is a string, null, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


def retry_after_seconds(header: str | None) -> float | None:
    """Return the header in seconds; its date form is left alone, because the server's clock is not ours."""
    try:
        return max(float(header), 0.0) if header is not None else None
    except ValueError:
        return None
