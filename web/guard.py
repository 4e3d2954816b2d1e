"""Walls around every answer: who may ask, what may be asked, and what a browser may do with the answer.

- Only GET and HEAD.
- On a loopback address only requests that name this machine: another site's page could else read everything by having
  its own name point here (DNS rebinding).
- A memory that is gone, damaged or of a newer netwright is one sentence, on every page.
- A Content-Security-Policy by which a browser loads nothing from elsewhere, whatever candidates or models wrote.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from netwright.errors import NetwrightError, NotFound
from netwright.memory import Memory
from netwright.web.frame import refusal

THIS_MACHINE = ("127.0.0.1", "localhost", "[::1]")
_BASE = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
POLICY = f"{_BASE}; script-src 'self'; style-src 'self'"
"""For pages of ours: nothing inline."""

DATASETTE_POLICY = f"{_BASE}; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
"""For Datasette's own pages, which have their scripts in them."""

REPORT_POLICY = f"{_BASE}; style-src 'unsafe-inline'"
"""For the report, which is one file with its style in it and no script."""

_FIXED = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def policy_for(path: str) -> str:
    """The Content-Security-Policy of a page."""
    if path == "/memory" or path.startswith(("/memory/", "/memory.", "/-/")):
        return DATASETTE_POLICY
    return REPORT_POLICY if path.startswith("/campaign/") and path.endswith("/report") else POLICY


def guarded(application: Any, home: Path, *, only_this_machine: bool) -> Any:
    """`application` (ASGI) behind the walls."""

    async def answer(scope: dict[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        policy = policy_for(scope["path"])

        async def walled(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *_FIXED, (b"content-security-policy", policy.encode())]
                message = {**message, "headers": headers}
            await send(message)

        refused = _refused(scope, only_this_machine) or await asyncio.to_thread(_unreadable, home)
        if refused is None:
            await application(scope, receive, walled)
        else:
            await _say(walled, *refused)

    return answer


def _refused(scope: dict[str, Any], only_this_machine: bool) -> tuple[int, str] | None:
    if scope["method"] not in ("GET", "HEAD"):
        return 405, f"{scope['method']} is not answered: nothing here can be changed"
    host = _header(scope["headers"], b"host")
    if only_this_machine and re.sub(r":\d+$", "", host) not in THIS_MACHINE:
        return 400, f"{host!r} is not this machine: open http://127.0.0.1 with the port, or serve with --host"
    return None


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1").lower() for key, value in headers if key == name), "")


def _unreadable(home: Path) -> tuple[int, str] | None:
    try:
        Memory.open(home, create=False, read_only=True).close()
    except NetwrightError as error:
        return 404 if isinstance(error, NotFound) else 400, str(error)
    return None


async def _say(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal(sentence).encode()})
