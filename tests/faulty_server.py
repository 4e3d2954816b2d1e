"""What endpoints do wrong, as a table of faults, and a model that answers well but for a share of its replies.

    model = Faulty(answer, FAULTS, rate=0.2, seed=1)
    with ChatServer(default=model) as server: ...
    model.given            # the names of the faults that it gave, in order
    model.spoken           # the answers that came whole, in order

A fault is given the request and a function that writes the good answer to it; it returns what is sent instead, or
None where the request gives it no occasion. The shapes are those of servers in use (docs/endpoints.md).
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chat_server import Step, as_stream, completion, drop, html, http_error, piece, raw_json, stream

JsonDict = dict[str, Any]
Good = Callable[[], str]
Spoil = Callable[[JsonDict, Good], Step | None]
STALL_SECONDS = 0.4


@dataclass(frozen=True)
class Fault:
    """One thing that servers do.

    `costs`: how many more requests one such reply may cost at most. `lasts`: how many more requests it costs in all,
    once learned, if a server always does it; None where no client could live with that.
    """

    name: str
    spoil: Spoil
    costs: int = 1
    lasts: int | None = None


FAULTS: list[Fault] = []


def fault(name: str, costs: int = 1, lasts: int | None = None) -> Callable[[Spoil], Spoil]:
    """Enter a function into the table."""

    def enter(spoil: Spoil) -> Spoil:
        FAULTS.append(Fault(name, spoil, costs, lasts))
        return spoil

    return enter


def always(name: str, step: Step, costs: int = 1) -> None:
    """Enter a fault that is the same whatever was asked."""
    FAULTS.append(Fault(name, lambda body, good: step, costs))


class Faulty:
    """The model behind a server: `answer` writes what is right, and a share `rate` of replies goes wrong.

    Which do, and how, comes from `seed` alone. A campaign's first question, for one token, is answered. Good replies
    take `reply_seconds`.
    """

    def __init__(
        self,
        answer: Callable[[JsonDict], str],
        faults: Sequence[Fault],
        *,
        rate: float = 0.2,
        seed: int = 0,
        reply_seconds: float = 0.0,
    ) -> None:
        self.given: list[str] = []
        self.spoken: list[str] = []
        self.asked = 0
        self._answer = answer
        self._faults = faults
        self._rate = rate
        self._reply_seconds = reply_seconds
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def __call__(self, body: JsonDict) -> Step:
        if body["messages"][-1]["content"] == "Say yes.":
            return completion("yes")
        with self._lock:
            self.asked += 1
            goes_wrong = self._random.random() < self._rate
            chosen = self._random.choice(self._faults) if self._faults else None
        step = chosen.spoil(body, lambda: self._answer(body)) if chosen is not None and goes_wrong else None
        with self._lock:
            if step is not None and chosen is not None:
                self.given.append(chosen.name)
            if step is None or chosen is None or not chosen.costs:
                self.spoken.append(self._answer(body))
        if step is not None:
            return step
        text = self._answer(body)
        step = completion(text, prompt_tokens=count(body), completion_tokens=len(text) // 4)
        return replace(step, stall_seconds=self._reply_seconds)


def count(body: JsonDict) -> int:
    """About as many tokens as its messages have."""
    return sum(len(message["content"]) for message in body["messages"]) // 4


# --- another server, or none, at the other end ------------------------------------------------------------------------

always("404 at a path that worked", raw_json({"detail": "Not Found"}, 404))
always("404 of a proxy whose server is away", Step(b"404 page not found\n", 404, "text/plain"))
always("405 at a path that worked", raw_json({"detail": "Method Not Allowed"}, 405))
always("web page with 200", html())
always("web page with 502", html(502))
always("unexpected endpoint with 200", raw_json({"error": "Unexpected endpoint or method. (POST /chat/completions)"}))
always("text with 200", Step(b"upstream connect error or disconnect/reset before headers", 200, "text/plain"))
always("connection closed", drop())
always("no HTTP", Step(raw=b"\x16\x03\x01 this is no HTTP\r\n\r\n"))

# --- the server is busy -----------------------------------------------------------------------------------------------

always("500", http_error(500, "CUDA error: an illegal memory access was encountered"))
always("500 without a body", Step(b"", 500))
always("500 with endless brackets", Step(b"[" * 200_000, 500))
always("400 for a model that has crashed", raw_json({"error": "The model has crashed (Exit code: 1844674)"}, 400))
always("400 for a model that was unloaded", raw_json({"error": "Model is unloaded."}, 400))
always("503 while loading", http_error(503, "Loading model"))
always("504", html(504))
always("429", http_error(429, "Too many requests"))
always("429 with a time to wait", http_error(429, "Too many requests", {"retry-after": "0.05"}))
always("429 with a date to wait for", http_error(429, "Slow down", {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}))


@fault("slow first token")
def _slow(body: JsonDict, good: Good) -> Step:
    return replace(completion(good()), stall_seconds=STALL_SECONDS)


@fault("silence in the middle of a stream")
def _silent(body: JsonDict, good: Good) -> Step:
    return stream(piece(good()[:40]), b": ping\n\n", b": ping\n\n", done=False, pause_seconds=STALL_SECONDS)


# --- answers that break off -------------------------------------------------------------------------------------------


@fault("connection closed in the middle of a stream")
def _breaks(body: JsonDict, good: Good) -> Step:
    return stream(piece(good()[:200]), done=False, breaks=True)


@fault("stream without an end")
def _no_end(body: JsonDict, good: Good) -> Step:
    return stream(piece(good()[:200]), done=False)


@fault("error in the middle of a stream")
def _error_event(body: JsonDict, good: Good) -> Step:
    return stream(piece(good()[:200]), {"error": {"message": "CUDA out of memory", "code": 500}})


@fault("error without its frame in a stream")
def _bare_error(body: JsonDict, good: Good) -> Step:
    return stream(b": ping\n\n", b'{"error": {"message": "CUDA out of memory"}}\n', done=False)


@fault("nonsense in the middle of a stream")
def _nonsense_event(body: JsonDict, good: Good) -> Step:
    return stream(piece(good()[:200]), b'data: {"choices": [{"de\n\n')


@fault("body shorter than it says")
def _short_body(body: JsonDict, good: Good) -> Step:
    whole = completion(good()).body
    return Step(whole[: len(whole) // 2], length=len(whole))


@fault("body cut in two")
def _half_body(body: JsonDict, good: Good) -> Step:
    whole = completion(good()).body
    return Step(whole[: len(whole) // 2])


@fault("body packed in another way than it says")
def _not_packed(body: JsonDict, good: Good) -> Step:
    return replace(completion(good()), headers={"content-encoding": "gzip"})


# --- answers that are none --------------------------------------------------------------------------------------------

always("empty object", raw_json({}))
always("list", raw_json([1, 2]))
always("no choices", raw_json({"choices": []}))
always("choices that are null", raw_json({"choices": None}))
always("choice without a message", raw_json({"choices": [{"index": 0, "finish_reason": "stop"}]}))
always("empty body", Step(b""))
always("content null", completion(None))
always("content empty", completion(""))
always("bytes that are no UTF-8", Step(b"\xff\xfe\x00{" * 50))
always("body without end", Step(b'{"choices": "' + b"x" * 2**25 + b'"}'))
always("error with 200", raw_json({"error": {"message": "worker died", "code": 500}}))
always("error as a word with 200", raw_json({"error": "worker died"}))
always("event of an error with 200", stream(b'event: error\ndata: {"message": "worker died"}\n\n', done=False))


@fault("call of a tool in place of an answer")
def _tool(body: JsonDict, good: Good) -> Step:
    call = {"id": "c", "type": "function", "function": {"name": "write", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return raw_json({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})


@fault("refusal in place of an answer")
def _refusal(body: JsonDict, good: Good) -> Step:
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    return raw_json({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


# --- fields that are refused ------------------------------------------------------------------------------------------


def _unknown(body: JsonDict, name: str) -> Step | None:
    """As transformers serve does."""
    return raw_json({"detail": f"Unexpected keys in the request: {{'{name}'}}"}, 422) if name in body else None


def _extra_input(body: JsonDict, name: str) -> Step | None:
    """As servers made with pydantic do."""
    fields = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]
    return raw_json({"detail": fields}, 422) if name in body else None


@fault("422 for stream_options", lasts=1)
def _no_stream_options(body: JsonDict, good: Good) -> Step | None:
    return _unknown(body, "stream_options")


@fault("422 for temperature", lasts=1)
def _no_temperature(body: JsonDict, good: Good) -> Step | None:
    return _extra_input(body, "temperature")


@fault("400 for temperature", lasts=1)
def _fixed_temperature(body: JsonDict, good: Good) -> Step | None:
    words = "Unsupported value: 'temperature' does not support 0.8 with this model. Only the default is supported."
    return http_error(400, words) if "temperature" in body else None


@fault("max_tokens refused", lasts=1)
def _no_max_tokens(body: JsonDict, good: Good) -> Step | None:
    words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    return http_error(400, words) if "max_tokens" in body else None


@fault("both token fields refused", lasts=2)
def _no_token_field(body: JsonDict, good: Good) -> Step | None:
    return _unknown(body, "max_tokens") or _unknown(body, "max_completion_tokens")


@fault("stream refused", lasts=1)
def _no_stream(body: JsonDict, good: Good) -> Step | None:
    return http_error(400, "'stream' is not supported by this deployment") if body["stream"] else None


@fault("stream broken, and nothing but streams", costs=2)
def _only_stream(body: JsonDict, good: Good) -> Step:
    if body["stream"]:
        return stream(piece(good()[:200]), done=False, breaks=True)
    return http_error(400, "This model only support stream mode, please enable the stream parameter.")


@fault("response_format refused", lasts=2)
def _no_format(body: JsonDict, good: Good) -> Step | None:
    return _unknown(body, "response_format")


@fault("json_schema refused", lasts=1)
def _no_schema(body: JsonDict, good: Good) -> Step | None:
    asked = body.get("response_format", {}).get("type") == "json_schema"
    return http_error(400, "'response_format.type' must be one of 'json_object', 'text'") if asked else None


@fault("json_object refused", lasts=2)
def _no_json(body: JsonDict, good: Good) -> Step | None:
    asked = body.get("response_format", {}).get("type", "text") != "text"
    return http_error(400, "'response_format.type' must be 'text'") if asked else None


@fault("schema that breaks the engine", lasts=1)
def _grammar(body: JsonDict, good: Good) -> Step | None:
    asked = body.get("response_format", {}).get("type") == "json_schema"
    return http_error(500, "EngineCore encountered an issue") if asked else None


@fault("system role refused", lasts=1)
def _no_system(body: JsonDict, good: Good) -> Step | None:
    return http_error(400, "System role not supported") if body["messages"][0]["role"] == "system" else None


@fault("template that wants roles in turn", lasts=1)
def _alternate(body: JsonDict, good: Good) -> Step | None:
    words = "Conversation roles must alternate user/assistant/user/assistant/..."
    return http_error(500, words) if body["messages"][0]["role"] == "system" else None


# --- a context that is too small --------------------------------------------------------------------------------------

_LLAMA_CPP = {
    "code": 400,
    "message": "request (14429 tokens) exceeds the available context size (8192 tokens), try increasing it",
    "type": "exceed_context_size_error",
    "n_prompt_tokens": 14429,
    "n_ctx": 8192,
}
_LM_STUDIO = (
    "The number of tokens to keep from the initial prompt is greater than the context length "
    "(n_keep: 13055>= n_ctx: 4096). Try to load the model with a larger context length, or provide a shorter input."
)
always("overflow as of llama.cpp", raw_json({"error": _LLAMA_CPP}, 400))
always("overflow as of llama.cpp with 200", raw_json({"error": _LLAMA_CPP}))
always("overflow as of llama.cpp with 500", http_error(500, "Context size has been exceeded."))
always("overflow as of LM Studio", raw_json({"error": _LM_STUDIO}, 400))
always(
    "overflow as of LM Studio in a stream",
    stream(f"event: error\ndata: {json.dumps({'error': {'message': _LM_STUDIO}, 'message': _LM_STUDIO})}\n\n".encode()),
)
always(
    "overflow as of vLLM",
    http_error(
        400,
        "This model's maximum context length is 8192 tokens. However, you requested 14429 tokens (8429 in the "
        "messages, 6000 in the completion). Please reduce the length of the messages or completion.",
    ),
)
always(
    "overflow as of SGLang",
    http_error(400, "The input (14429 tokens) is longer than the model's context length (8192 tokens)."),
)
always("overflow as 413", Step(b"", 413))
always(
    "overflow as of a proxy in a stream",
    stream({"error_type": "context_length_exceeded", "error_message": "This model's maximum context length is 8192"}),
)


def reply(text: str | None, **more: Any) -> Step:
    """A completion whose prompt was read to its end."""
    return completion(text, **{"prompt_tokens": 8000, **more})


# --- answers in odd dress, which cost nothing -------------------------------------------------------------------------


def dressed(name: str, costs: int = 0) -> Callable[[Callable[[str], Step]], None]:
    """Enter a fault that makes something else of the good answer; what costs nothing may last."""

    def enter(dress: Callable[[str], Step]) -> None:
        FAULTS.append(Fault(name, lambda body, good: dress(good()), costs, None if costs else 0))

    return enter


_DECOY = '```json\n{"title": "Draft", "hypothesis": "No."}\n```\n```python\nclass Mixer: ...\n```\n'


@dressed("reasoning in reasoning_content")
def _reasoning_content(text: str) -> Step:
    return reply(text, reasoning=f"Perhaps {_DECOY} or not.")


@dressed("reasoning in reasoning")
def _reasoning(text: str) -> Step:
    return reply(text, reasoning=f"Perhaps {_DECOY} or not.", reasoning_field="reasoning")


@dressed("content null, the answer in reasoning_content")
def _null_content(text: str) -> Step:
    return reply(None, reasoning=text)


@dressed("content empty, the answer in reasoning")
def _empty_content(text: str) -> Step:
    return reply("", reasoning=text, reasoning_field="reasoning")


@dressed("thinking inline")
def _inline(text: str) -> Step:
    return reply(f"<think>Perhaps\n{_DECOY}or not.</think>\n\n{text}")


@dressed("thinking that the template opened")
def _orphan(text: str) -> Step:
    return reply(f"Perhaps\n{_DECOY}or not.\n</think>\n\n{text}")


@dressed("thinking that is never closed, with the answer in it")
def _unclosed(text: str) -> Step:
    return reply(f"<think>\n{text}")


@dressed("thinking that ate the token limit", costs=1)
def _ate(text: str) -> Step:
    return reply("<think>Perhaps, or perhaps not, or", finish_reason="length")


@dressed("nothing but a token limit", costs=1)
def _length(text: str) -> Step:
    return reply("", finish_reason="length")


@dressed("prose around the answer")
def _prose(text: str) -> Step:
    return reply(f"Sure! Here is {{my}} plan, with a set {{1, 2}}:\n\n{text}\nI hope that {{this}} helps.")


@dressed("several JSON objects")
def _several(text: str) -> Step:
    return reply(f'{{"answer": 42}} {{"steps": ["a"]}}\n\n{text}\n\n{{"done": true}}')


@dressed("content in parts")
def _parts(text: str) -> Step:
    half = len(text) // 2
    parts = [{"type": "text", "text": text[:half]}, {"type": "text", "text": text[half:]}]
    message = {"role": "assistant", "content": parts}
    return raw_json({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@dressed("invalid UTF-8 beside the answer")
def _mojibake(text: str) -> Step:
    return replace(reply(f"\ufffd{text}"), body=reply(f"#?#{text}").body.replace(b"#?#", b"\xff\xfe"))


@dressed("half a surrogate beside the answer")
def _surrogate(text: str) -> Step:
    return reply(f"\ud83d {text}")


@dressed("usage missing")
def _no_usage(text: str) -> Step:
    return reply(text, usage=False)


@dressed("usage absurd")
def _absurd_usage(text: str) -> Step:
    return reply(text, prompt_tokens=-1, completion_tokens=10**30)


@dressed("whole in spite of stream")
def _whole(text: str) -> Step:
    return replace(reply(text), whole=True)


@dressed("stream with pings and repeated usage")
def _pings(text: str) -> Step:
    return replace(as_stream(reply(text)), events=(b": ping\r\n\r\n", *as_stream(reply(text)).events))


# --- a model that lost its wits ---------------------------------------------------------------------------------------


@dressed("prose in place of JSON", costs=1)
def _no_answer(text: str) -> Step:
    return reply("As a language model I would recommend attention, as it is all you need.")


@dressed("invalid JSON", costs=1)
def _invalid(text: str) -> Step:
    return reply(text.replace('"hypothesis":', '"hypothesis"', 1))


@dressed("code in a JSON string", costs=1)
def _code_in_json(text: str) -> Step:
    return reply(json.dumps({"code": text}))


@dressed("file cut off in the middle", costs=1)
def _cut(text: str) -> Step:
    return reply(text[: len(text) * 2 // 3], finish_reason="length")


@dressed("file that does not parse", costs=1)
def _no_python(text: str) -> Step:
    return reply(text.replace("class Mixer(", "class Mixer((", 1))


@dressed("prompt cut without a word", costs=1)
def _truncated(text: str) -> Step:
    return reply("How can I help you today?", prompt_tokens=20)
