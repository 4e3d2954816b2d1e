"""What all tests share: no test reaches beyond this machine, and a scripted chat server is at hand.

Fixtures:
    chat: the module tests/chat_server.py, e.g. `chat.drop()`.
    chat_server: makes running servers; the test's end closes them, e.g.
        `server = chat_server([chat.http_error(500, "busy"), "fine"], default="fine")`; see `ChatServer`.
    tiny_model: the folder of a model for transformers that writes garbage; see tests/tiny_model.py.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

# As in a campaign and its trainings: matrices are small here, and idle threads of BLAS spin. Set before it is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import chat_server as chat_server_module
import pytest
from tiny_model import make_tiny_model


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
    return chat_server_module


@pytest.fixture
def chat_server(chat: ModuleType) -> Iterator[Callable[..., Any]]:
    with ExitStack() as servers:
        yield lambda *args, **options: servers.enter_context(chat.ChatServer(*args, **options))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-llama")
    make_tiny_model(folder)
    return folder
