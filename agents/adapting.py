"""How a request is put to an endpoint of which a profile is known, and what its refusals teach. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from netwright.agents.chat import ChatRequest, folded
from netwright.agents.faults import (
    EndpointError,
    Fault,
    names_parameter,
    refuses_json_mode,
    refuses_system_role,
)
from netwright.agents.profile import JSON_MODES, JsonMode, Profile, TokenField
from netwright.agents.transport import Timeouts
from netwright.types import JsonDict

_DROPPABLE = ("temperature", "stream_options", "stream")
_TOKEN_FIELDS: tuple[TokenField, TokenField] = ("max_tokens", "max_completion_tokens")
_STREAM_ONLY = re.compile(
    r"\bonly\b.{0,30}stream|stream.{0,40}\b(required|must|enable|true)\b", re.IGNORECASE | re.DOTALL
)


@dataclass
class Course:
    """How the tries for one answer went so far.

    `limits`: time-outs other than the endpoint's own. `whole`: the answer is not streamed this time. `plain`: no JSON
    mode is asked for this time. `refused`: token fields that were refused. `roots`: forms of the URL that were.
    """

    limits: Timeouts | None = None
    whole: bool = False
    plain: bool = False
    refused: set[str] = field(default_factory=set)
    roots: int = 0


def request_fields(request: ChatRequest, profile: Profile, course: Course) -> JsonDict:
    """Return the body of the request, without what this endpoint refuses."""
    messages = folded(request.messages) if profile.folds_system else list(request.messages)
    streams = profile.streaming == "only" or (profile.streaming != "refused" and not course.whole)
    fields: JsonDict = {"model": profile.model, "messages": messages, "stream": streams}
    if streams:
        fields["stream_options"] = {"include_usage": True}
    if profile.token_field:
        fields[profile.token_field] = request.max_tokens
    if request.temperature is not None:
        fields["temperature"] = request.temperature
    mode = profile.json_mode or JSON_MODES[0]
    if request.schema is not None and mode != "none" and not course.plain:
        fields["response_format"] = _response_format(mode, request.schema)
    return {name: value for name, value in fields.items() if name not in profile.refused}


def _response_format(mode: JsonMode, schema: JsonDict) -> JsonDict:
    if mode == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def next_json_mode(mode: JsonMode | None) -> JsonMode:
    """The next laxer way to ask for JSON."""
    return JSON_MODES[min(JSON_MODES.index(mode or JSON_MODES[0]) + 1, len(JSON_MODES) - 1)]


def after_refusal(error: EndpointError, sent: JsonDict, profile: Profile, course: Course) -> Profile | None:
    """What a refusal of `sent` teaches; None where it names nothing that could be left out or be said otherwise."""
    said = error.detail
    if refuses_system_role(said) and sent["messages"][0]["role"] == "system":
        return profile.model_copy(update={"folds_system": True})
    if error.fault is Fault.OVERFLOW or error.status_code is None:
        return None
    if "response_format" in sent and refuses_json_mode(said) and error.status_code != 503:
        return profile.model_copy(update={"json_mode": next_json_mode(sent["response_format"]["type"])})
    if error.status_code not in (400, 422):
        return None
    for name in _TOKEN_FIELDS:
        if name in sent and names_parameter(said, name):
            course.refused.add(name)
            left = [other for other in _TOKEN_FIELDS if other not in course.refused]
            return profile.model_copy(update={"token_field": left[0] if left else None})
    return _after_named_field(said, sent, profile)


def _after_named_field(said: str, sent: JsonDict, profile: Profile) -> Profile | None:
    refused = [name for name in _DROPPABLE if name in sent and names_parameter(said, name)]
    if "stream" in refused and sent["stream"]:
        return profile.model_copy(update={"streaming": "refused"})
    if "stream" in refused and _STREAM_ONLY.search(said):
        return profile.model_copy(update={"streaming": "only"})
    if not refused:
        return None
    return profile.model_copy(update={"refused": (*profile.refused, *refused)})
