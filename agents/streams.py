"""A chat completion as it comes in over the wire, streamed or whole, put together. Pure; trusts nothing."""

from __future__ import annotations

import json
import re

from netwright.agents.faults import EndpointError, Fault, error_inside, parse_body, text_of
from netwright.types import JsonDict

_EVENT_LINE = re.compile(r"\s*(data|event|id|retry)?:")


class Incoming:
    """Takes a reply's body line by line; `completion` is what came.

    `ended` tells that nothing more will come, even if the connection stays open. Whether a reply is a stream of
    events is told by its first line, not by what was asked or by what the headers say: some servers answer whole what
    they should stream, and the other way round.
    """

    def __init__(self) -> None:
        self.streamed: bool | None = None
        self._lines: list[str] = []
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._reasoning_name = "reasoning_content"
        self._usage: JsonDict | None = None
        self._finish_reason: str | None = None
        self._names_error = False
        self.ended = False

    def feed(self, line: str) -> str:
        """Take one line in; return the text, answer or reasoning, that a streamed one brought.

        Raises:
            EndpointError: the line tells of an error, or of nothing that can be understood.
        """
        if self.streamed is None and line.strip():
            self.streamed = _EVENT_LINE.match(line) is not None
        if not self.streamed:
            self._lines.append(line)
            return ""
        name, _, value = line.strip().partition(":")
        if name == "event":
            self._names_error = value.strip() == "error"
        return self._take(value.strip()) if name == "data" and not self.ended else ""

    def completion(self) -> JsonDict:
        """Return the parsed completion; a streamed one in the shape of a whole one.

        Raises:
            EndpointError: it is none, or its end is missing.
        """
        if not self.streamed:
            return parse_body("\n".join(self._lines))
        if self._finish_reason is None and not self.ended:
            raise EndpointError("its stream ended before the answer did", fault=Fault.BROKEN)
        message = {
            "role": "assistant",
            "content": "".join(self._content),
            self._reasoning_name: "".join(self._reasoning),
        }
        return {"choices": [{"message": message, "finish_reason": self._finish_reason}], "usage": self._usage}

    def _take(self, data: str) -> str:
        """Take in what one event carries. Its end may be told by `[DONE]`, by a finish reason, or by both."""
        if data == "[DONE]":
            self.ended = True
            return ""
        try:
            event = json.loads(data, strict=False)
        except (ValueError, RecursionError):
            event = None
        if self._names_error or (isinstance(event, dict) and (event.get("error") or event.get("error_message"))):
            raise error_inside(data)
        if not isinstance(event, dict):
            raise EndpointError(f"its stream carries {data[:200]!r} where JSON belongs", fault=Fault.BROKEN)
        if isinstance(event.get("usage"), dict) and event["usage"]:
            # Some send it with every event, growing: the last is that of the whole.
            self._usage = event["usage"]
        choices = event.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        return self._take_choice(first) if isinstance(first, dict) else ""

    def _take_choice(self, choice: JsonDict) -> str:
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        piece = choice.get("delta")
        if not isinstance(piece, dict):
            # A whole message at the end repeats what came before, or is all that comes.
            repeats = bool(self._content or self._reasoning)
            piece = {} if repeats or not isinstance(choice.get("message"), dict) else choice["message"]
        content = text_of(piece.get("content"))
        reasoning = text_of(piece.get("reasoning_content"))
        if not reasoning and (reasoning := text_of(piece.get("reasoning"))):
            self._reasoning_name = "reasoning"
        self._content.append(content)
        self._reasoning.append(reasoning)
        return reasoning + content
