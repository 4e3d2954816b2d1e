"""What we add to Datasette: the pages, and walls around all that it answers. Its hooks are found by their names."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from datasette import Response, hookimpl
from datasette.database import QueryInterrupted
from datasette.utils.asgi import Base400
from datasette.views.base import DatasetteError
from markupsafe import Markup

from netwright.errors import NetwrightError, NotFound
from netwright.memory import Memory
from netwright.memory.connection import FILE_NAME, explain
from netwright.web.frame import STYLE_URL, Page, refusal
from netwright.web.guard import guarded
from netwright.web.kept import Kept
from netwright.web.pages import ROUTES

LINK_CHARACTERS = 300
logger = logging.getLogger(__name__)
_KEPT = Kept()


def _settings(datasette: Any) -> dict[str, Any]:
    settings: dict[str, Any] = datasette.plugin_config("netwright")
    return settings


def _home(datasette: Any) -> Path:
    return Path(_settings(datasette)["home"])


def _answer(home: Path, page: Page, request: Any) -> Response:
    def make() -> tuple[str, str]:
        with Memory.open(home, create=False, read_only=True) as memory:
            return page(memory, request)

    try:
        body, kind = _KEPT.page(f"{request.path}?{request.query_string}", home / FILE_NAME, make)
    except NetwrightError as error:
        return _refusal(error)
    return Response(body, content_type=f"{kind}; charset=utf-8")


def _refusal(error: NetwrightError) -> Response:
    return Response.html(refusal(str(error)), status=404 if isinstance(error, NotFound) else 400)


def _view(page: Page) -> Callable[..., Any]:
    async def view(datasette: Any, request: Any) -> Response:
        return await asyncio.to_thread(_answer, _home(datasette), page, request)

    return view


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    return [(pattern, _view(page)) for pattern, page in ROUTES.items()]


@hookimpl
def extra_css_urls() -> list[str]:
    return [STYLE_URL]


@hookimpl
def prepare_connection(conn: sqlite3.Connection, database: str) -> None:
    if database == "memory":
        conn.set_authorizer(_only_what_is_no_secret)


def _only_what_is_no_secret(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """The key from which held-out data is drawn reads as nothing; raw pages of the file, which hold it, not at all."""
    if action == sqlite3.SQLITE_READ and (first, second) == ("meta", "value"):
        return sqlite3.SQLITE_IGNORE
    raw = action == sqlite3.SQLITE_READ and str(first).startswith(("sqlite_db", "dbstat"))
    return sqlite3.SQLITE_DENY if raw or action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


@hookimpl
def render_cell(value: object) -> Markup | None:
    """Text of candidates and models is text, also where it looks like an address: Datasette would make a link of it."""
    if not isinstance(value, str) or "://" not in value:
        return None
    cut = value if len(value) <= LINK_CHARACTERS else f"{value[:LINK_CHARACTERS]}…"
    return Markup(escape(cut))


@hookimpl(tryfirst=True)
def handle_exception(datasette: Any, request: Any, exception: Exception) -> Response:
    """One sentence for whatever went wrong in Datasette, which would print a trace of it and link to its own site."""
    status, sentence = _told(exception, _home(datasette))
    if request.path.endswith(".json"):
        return Response.json({"ok": False, "error": sentence}, status=status)
    return Response.html(refusal(sentence), status=status)


def _told(exception: Exception, home: Path) -> tuple[int, str]:
    if isinstance(exception, QueryInterrupted):
        return 400, "the query took too long and was stopped: narrow it with WHERE or LIMIT"
    if isinstance(exception, sqlite3.Error):
        return 400, str(explain(exception, home / FILE_NAME))
    if isinstance(exception, Base400 | DatasetteError):
        said = getattr(exception, "message", None) or (exception.args[0] if exception.args else "")
        return exception.status, Markup(said).striptags() or "there is no such page"
    logger.error("page failed error=%r", exception)
    return 500, "this page could not be made; what went wrong stands in the output of the server"


@hookimpl
def asgi_wrapper(datasette: Any) -> Callable[[Any], Any]:
    settings = _settings(datasette)
    return lambda application: guarded(application, _home(datasette), only_this_machine=settings["only_this_machine"])
