"""A real HTTP server on loopback that speaks chat completions and follows a script of answers and faults.

    with ChatServer([http_error(500, "loading"), plan_reply("Delta", source)], default="ok") as server:
        Endpoint(server.url) ...
        assert len(server.requests) == 2

Each POST to `/v1/chat/completions` takes the next entry of the script; when it is used up, `default`. An
entry is a string (the content of a good answer), a `Step` as made by the functions below, or a function that
is given the request's JSON body and returns either. Tests get at all this by the fixture `chat` (conftest.py).
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

JsonDict = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One answer on the wire. `drops` cuts the connection instead; `stall_seconds` are waited out before.

    `events` are sent one by one in place of the body, each `pause_seconds` after the other; `breaks` cuts the
    connection after the last of them. `length` is what the body is said to have; `raw` is sent as it is, without any
    HTTP. `whole`: never streamed.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    stall_seconds: float = 0.0
    drops: bool = False
    events: tuple[bytes, ...] = ()
    pause_seconds: float = 0.0
    breaks: bool = False
    length: int | None = None
    raw: bytes = b""
    whole: bool = False


Entry = str | Step | Callable[[JsonDict], "str | Step"]


def completion(
    content: str | None,
    *,
    finish_reason: str = "stop",
    reasoning: str | None = None,
    reasoning_field: str = "reasoning_content",
    usage: bool = True,
    prompt_tokens: int = 100,
    completion_tokens: int = 50,
) -> Step:
    """A well-formed chat completion."""
    message: JsonDict = {"role": "assistant", "content": content}
    if reasoning is not None:
        message[reasoning_field] = reasoning
    body: JsonDict = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
    }
    if usage:
        total = prompt_tokens + completion_tokens
        counted = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}
        body["usage"] = counted
    return raw_json(body)


def raw_json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Step:
    """Any JSON with any status."""
    return Step(json.dumps(body).encode(), status, headers=headers or {})


def http_error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Step:
    """An error in OpenAI's shape."""
    return raw_json({"error": {"message": message, "type": "error"}}, status, headers)


def html(status: int = 200) -> Step:
    """A web page where an answer was expected."""
    page = b"<!doctype html><html><head><title>Chat UI</title></head><body>Welcome</body></html>"
    return Step(page, status, "text/html")


def stall(seconds: float) -> Step:
    """No answer for `seconds` (or until the server closes), then an error."""
    return Step(b"", 503, stall_seconds=seconds)


def drop() -> Step:
    """The connection ends without an answer."""
    return Step(drops=True)


def stream(
    *events: Any, done: bool = True, breaks: bool = False, pause_seconds: float = 0.0, stall: float = 0.0
) -> Step:
    """Server-sent events: dictionaries as `data:` lines of JSON, bytes as they are; then `[DONE]`."""
    sent = [each if isinstance(each, bytes) else f"data: {json.dumps(each)}\n\n".encode() for each in events]
    return Step(
        content_type="text/event-stream",
        events=(*sent, *([b"data: [DONE]\n\n"] if done else [])),
        breaks=breaks,
        pause_seconds=pause_seconds,
        stall_seconds=stall,
    )


def piece(content: str | None = None, finish_reason: str | None = None, **more: Any) -> JsonDict:
    """One event of a streamed completion; `more` goes into its delta."""
    delta = {**({"content": content} if content is not None else {}), **more}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


def as_stream(step: Step, pause_seconds: float = 0.0) -> Step:
    """The same completion as a well-behaved server streams it; anything else as it is."""
    try:
        body = json.loads(step.body)
        choice, usage = body["choices"][0], body.get("usage")
        message = choice["message"]
    except (ValueError, KeyError, TypeError, IndexError):
        return step
    events = [piece("", role="assistant")]
    for name in ("reasoning_content", "reasoning", "content"):
        text = message.get(name) or ""
        events += [piece(**{name: text[at : at + 40]}) for at in range(0, len(text), 40)]
    events.append(piece(finish_reason=choice["finish_reason"]))
    if usage:
        events.append({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": usage})
    return stream(*events, stall=step.stall_seconds, pause_seconds=pause_seconds)


def plan_text(title: str, source: str, **plan: str) -> str:
    """A planner's good answer: the plan as JSON, then the file."""
    keys = {"title": title, "hypothesis": f"{title} helps.", "changes": "all", "expected_effect": "less loss"}
    return f"```json\n{json.dumps({**keys, **plan})}\n```\n\n```python\n{source.rstrip()}\n```\n"


def plan_reply(title: str, source: str, **plan: str) -> Step:
    return completion(plan_text(title, source, **plan))


class ChatServer:
    """Context manager; `url` ends in `/v1`.

    `requests` holds the JSON bodies of all chat requests so far, `headers` their
    headers with lower-case names, `paths` every path asked for.

    Args:
        script: entries answered in order.
        default: what answers when the script is used up; None is HTTP 500.
        models: what `/v1/models` lists, as names or as whole rows; None makes the route 404.
        prefix: where the API lives; "" serves it at the root.
        known_models_only: a chat for another model is a 404 as OpenAI's.
        web_page: other paths answer a web page with status 200 instead of 404.
        streams: well-formed completions are streamed to whoever asks for it.
        elsewhere: what other paths answer, by path.
    """

    def __init__(
        self,
        script: Sequence[Entry] = (),
        default: Entry | None = None,
        *,
        models: Sequence[str | JsonDict] | None = ("scripted",),
        prefix: str = "/v1",
        known_models_only: bool = False,
        web_page: bool = False,
        streams: bool = True,
        elsewhere: Mapping[str, Any] | None = None,
    ) -> None:
        self.requests: list[JsonDict] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.most_at_once = 0
        self.at_once = 0
        self._script = list(script)
        self._default = default
        self._models = models
        self._prefix = prefix
        self._known_models_only = known_models_only
        self._web_page = web_page
        self._streams = streams
        self._others = dict(elsewhere or {})
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._http = _Server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return self.root + self._prefix

    def contents(self, index: int = -1) -> list[str]:
        """The message contents of one request."""
        return [message["content"] for message in self.requests[index]["messages"]]

    def answer_get(self, path: str) -> Step:
        self.paths.append(path)
        if path == f"{self._prefix}/models" and self._models is not None:
            rows = [row if isinstance(row, dict) else {"id": row, "object": "model"} for row in self._models]
            return raw_json({"object": "list", "data": rows})
        return self._elsewhere(path)

    def answer_post(self, path: str, body: JsonDict, headers: dict[str, str]) -> Step:
        self.paths.append(path)
        if path != f"{self._prefix}/chat/completions":
            return self._elsewhere(path)
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            entry = self._script.pop(0) if self._script else self._default
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            step = self._step(entry, body)
            self.closing.wait(step.stall_seconds)
            return step
        finally:
            with self._lock:
                self.at_once -= 1

    def _step(self, entry: Entry | None, body: JsonDict) -> Step:
        if self._known_models_only and body["model"] not in (self._models or ()):
            return http_error(404, f"The model `{body['model']}` does not exist")
        if callable(entry):
            entry = entry(body)
        if entry is None:
            return http_error(500, "the script is used up")
        step = completion(entry) if isinstance(entry, str) else entry
        streams = body.get("stream") and self._streams and step.status == 200 and not step.whole
        return as_stream(step) if streams else step

    def _elsewhere(self, path: str) -> Step:
        if path in self._others:
            return raw_json(self._others[path])
        return html() if self._web_page else raw_json({"detail": "Not Found"}, 404)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, chat: ChatServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.chat = chat

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is part of the game."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(self.server.chat.answer_get(self.path))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._send(
            self.server.chat.answer_post(self.path, body, {name.lower(): value for name, value in self.headers.items()})
        )

    def _send(self, step: Step) -> None:
        if step.drops or step.raw:
            self.wfile.write(step.raw)
            self._hang_up()
            return
        self.send_response(step.status)
        self.send_header("content-type", step.content_type)
        if step.events:
            self._send_events(step)
            return
        self.send_header("content-length", str(len(step.body) if step.length is None else step.length))
        for name, value in step.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(step.body)
        if step.length is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send_events(self, step: Step) -> None:
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in step.events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.server.chat.closing.wait(step.pause_seconds)
        if step.breaks:
            self._hang_up()
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: pytest shows what matters."""
