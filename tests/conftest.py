"""What all tests share: no test reaches beyond this machine, and a scripted chat server is at hand.

Fixtures:
    chat: the module tests/chat_server.py (tests can't import one another), e.g. `chat.drop()`.
    chat_server: makes running servers; the test's end closes them, e.g.
        `server = chat_server([chat.http_error(500, "busy"), "fine"], default="fine")`; see `ChatServer`.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _is_local(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        text = host.decode() if isinstance(host, bytes) else str(host)
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _loopback_only(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: it also sees what libraries do, and can't be undone by the code under test."""
    if event == "socket.connect" and isinstance(args[1], tuple) and not _is_local(args[1][0]):
        raise RuntimeError(f"a test may not connect to {args[1]!r}; use the fixture chat_server")
    if event == "socket.getaddrinfo" and not _is_local(args[0]):
        raise RuntimeError(f"a test may not look up {args[0]!r}; use the fixture chat_server")


sys.addaudithook(_loopback_only)


@pytest.fixture(scope="session")
def chat() -> ModuleType:
    path = Path(__file__).with_name("chat_server.py")
    spec = importlib.util.spec_from_file_location("netwright_chat_server", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chat_server(chat: ModuleType) -> Iterator[Callable[..., Any]]:
    with ExitStack() as servers:
        yield lambda *args, **options: servers.enter_context(chat.ChatServer(*args, **options))
