"""HTTP to an OpenAI-compatible server through the openai package: bodies out, sorted errors back.

No key, header or password ever reaches a message: servers like to quote the key that they refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import openai

from netwright.agents.faults import (
    EndpointError,
    Fault,
    error_text,
    fault_of_status,
    parse_body,
    retry_after_seconds,
)
from netwright.errors import ConfigError
from netwright.types import JsonDict

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds to connect, to the first byte of the answer, and in all, each for one try."""

    connect_seconds: float = 10.0
    first_seconds: float = 600.0
    total_seconds: float = 900.0


@dataclass(frozen=True)
class _Session:
    """Connections belong to an event loop; a new loop gets new ones."""

    loop: asyncio.AbstractEventLoop
    clients: tuple[openai.AsyncOpenAI, ...]
    free_slots: asyncio.Semaphore


class _Response(Protocol):
    @property
    def text(self) -> str: ...


def candidate_urls(base_url: str) -> tuple[str, ...]:
    """Return the API roots that `base_url` may mean, likeliest first; each without a trailing slash.

    Raises:
        ConfigError: it is no http(s) URL.
    """
    text = base_url.strip()
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"expected the URL of an endpoint, such as http://localhost:8000/v1, got {base_url!r}")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    plain = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    if path.endswith("/v1"):
        return (plain, plain.removesuffix("/v1"))
    return (plain, f"{plain}/v1") if path else (f"{plain}/v1", plain)


class Transport:
    """Connections to one server under all the roots that its URL may mean.

    Args:
        urls: API roots, as from `candidate_urls`; requests choose one by its index.
        api_key: None sends a dummy, which local servers ignore.
        headers: sent with every request.
        timeouts: for each request.
        concurrency: requests in flight at once.
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        api_key: str | None,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        concurrency: int,
    ) -> None:
        self.urls = urls
        self._api_key = api_key or "none"
        self._headers = dict(headers)
        self._timeouts = timeouts
        self._concurrency = concurrency
        self._session: _Session | None = None

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.loop is asyncio.get_running_loop():
            await session.clients[0].close()

    def shown_url(self, index: int) -> str:
        """Return an API root without user name and password."""
        parts = urlsplit(self.urls[index])
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def shown_urls(self) -> str:
        return " and ".join(self.shown_url(index) for index in range(len(self.urls)))

    async def post_chat(self, fields: JsonDict, index: int) -> JsonDict:
        """Return the parsed chat completion that the server answers to `fields`.

        Raises:
            EndpointError: there is none.
        """
        session = self._open()
        rest = {name: value for name, value in fields.items() if name not in ("model", "messages", "stream")}
        create = session.clients[index].chat.completions.with_raw_response.create
        async with session.free_slots:
            text = await self._text(
                create(model=fields["model"], messages=fields["messages"], stream=False, extra_body=rest),
                index,
            )
        try:
            return parse_body(text)
        except EndpointError as error:
            raise self.error(error.fault, str(error), index, detail=error.detail) from None

    async def get_models(self, index: int) -> str:
        """Return the body of `GET /models`.

        Raises:
            EndpointError: the server did not answer with 200.
        """
        return await self._text(self._open().clients[index].models.with_raw_response.list(), index)

    def error(
        self,
        fault: Fault,
        what: str,
        index: int,
        *,
        status_code: int | None = None,
        retry_after: float | None = None,
        detail: str = "",
    ) -> EndpointError:
        """Make an error whose sentence names the URL, what came and what to do, and holds no secret."""
        sentence = f"endpoint {self.shown_url(index)}: {what}; {fault.remedy}"
        return EndpointError(
            self.without_secrets(sentence),
            fault=fault,
            status_code=status_code,
            retry_after_seconds=retry_after,
            detail=detail,
        )

    def without_secrets(self, text: str) -> str:
        """Return `text` with the API key, header values and the URL's password blotted out."""
        secrets = [self._api_key, *self._headers.values(), urlsplit(self.urls[0]).password or ""]
        for secret in secrets:
            # Shorter ones are words such as "none" and would blot out innocent text.
            if len(secret) >= 6:
                text = text.replace(secret, "***")
        return text

    async def _text(self, request: Awaitable[_Response], index: int) -> str:
        try:
            async with asyncio.timeout(self._timeouts.total_seconds):
                return (await request).text
        except (TimeoutError, openai.APITimeoutError):
            raise self.error(Fault.TIMEOUT, self._overdue(), index) from None
        except openai.APIConnectionError as error:
            what = f"the connection failed: {error.__cause__ or error}"
            raise self.error(Fault.UNREACHABLE, what, index) from None
        except openai.APIStatusError as error:
            raise self._status_error(error, index) from None
        except (openai.OpenAIError, ValueError) as error:
            raise self.error(Fault.HOLLOW, f"the reply can't be read: {error}", index) from None

    def _overdue(self) -> str:
        limits = self._timeouts
        return (
            f"no answer in time (connect within {limits.connect_seconds:g} s, "
            f"begin within {limits.first_seconds:g} s, end within {limits.total_seconds:g} s)"
        )

    def _status_error(self, error: openai.APIStatusError, index: int) -> EndpointError:
        body = error.response.text
        said = error_text(body)
        return self.error(
            fault_of_status(error.status_code, said),
            f"HTTP {error.status_code}: {said}",
            index,
            status_code=error.status_code,
            retry_after=retry_after_seconds(error.response.headers.get("retry-after")),
            detail=body[:4000],
        )

    def _open(self) -> _Session:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            clients = self._clients()
            self._session = _Session(loop, clients, asyncio.Semaphore(self._concurrency))
        return self._session

    def _clients(self) -> tuple[openai.AsyncOpenAI, ...]:
        timeout = openai.Timeout(self._timeouts.first_seconds, connect=self._timeouts.connect_seconds)
        # A proxy named in the environment would catch loopback addresses too.
        local = urlsplit(self.urls[0]).hostname in _LOOPBACK
        http = openai.DefaultAsyncHttpxClient(trust_env=not local, timeout=timeout)
        clients = tuple(
            openai.AsyncOpenAI(
                base_url=url,
                api_key=self._api_key,
                # Minutes lie between requests: a kept connection would be dead by then, and its loss a fault.
                default_headers={"Connection": "close", **self._headers},
                max_retries=0,
                timeout=timeout,
                http_client=http,
            )
            for url in self.urls
        )
        for client in clients:
            # OPENAI_ORG_ID and OPENAI_PROJECT_ID of the user's shell are meant for another server.
            client.organization = client.project = None
        return clients
