"""HTTP to an OpenAI-compatible server through the openai package: bodies out, sorted errors back.

No key, header or password ever reaches a message: servers like to quote the key that they refuse.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx2
import openai

from netwright.agents.faults import (
    EndpointError,
    Fault,
    error_text,
    fault_of_status,
    retry_after_seconds,
)
from netwright.agents.profile import without_secrets
from netwright.agents.streams import Incoming
from netwright.errors import ConfigError
from netwright.types import JsonDict

LOOK_SECONDS = 10.0
_MOST_BYTES = 32 * 2**20
"""Of one answer: several times what 24,000 tokens take in a talkative stream."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds to connect, to the first token and from each to the next, and in all, each for one try.

    An answer that is not streamed shows no token before its end, and has the whole time for it.
    """

    connect_seconds: float = 10.0
    first_seconds: float = 600.0
    total_seconds: float = 900.0

    def until_text(self, streams: bool) -> float:
        """How long to wait for the next text, where the answer is streamed or comes whole."""
        return min(self.first_seconds, self.total_seconds) if streams else self.total_seconds


@dataclass(frozen=True)
class _Session:
    """Connections belong to an event loop; a new loop gets new ones."""

    loop: asyncio.AbstractEventLoop
    clients: tuple[openai.AsyncOpenAI, ...]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A parsed completion, whether it came as a stream, and the seconds to its first text and to its end."""

    body: JsonDict
    streamed: bool
    first_seconds: float
    seconds: float


class _Body(Protocol):
    def iter_bytes(self) -> AsyncIterator[bytes]: ...


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of a body; only line feeds end them, as JSON may hold other line ends.

    Raises:
        EndpointError: the body has no end.
    """
    line, size = bytearray(), 0
    async for chunk in chunks:
        size += len(chunk)
        if size > _MOST_BYTES:
            raise EndpointError(f"its answer is longer than {_MOST_BYTES >> 20} MiB", fault=Fault.HOLLOW)
        head, *others = chunk.split(b"\n")
        line += head
        for other in others:
            yield line.decode(errors="replace")
            line = bytearray(other)
    yield line.decode(errors="replace")


async def _receive(
    request: AbstractAsyncContextManager[_Body],
    limits: Timeouts,
    streams: bool,
    on_text: Callable[[int], None] | None,
) -> Answered:
    """Read a reply to its end; its first text is due sooner than that where it is to be streamed."""
    loop = asyncio.get_running_loop()
    began, first, characters = loop.time(), None, 0
    incoming = Incoming()
    async with asyncio.timeout(limits.until_text(streams)) as bound:
        async with request as response:
            async for line in _lines(response.iter_bytes()):
                if text := incoming.feed(line):
                    first = first or loop.time()
                    bound.reschedule(began + limits.total_seconds)
                    characters += len(text)
                    if on_text is not None:
                        on_text(characters)
                if incoming.ended:
                    break
    ended = loop.time()
    return Answered(
        body=incoming.completion(),
        streamed=bool(incoming.streamed),
        first_seconds=(first or ended) - began,
        seconds=ended - began,
    )


def _overdue(limits: Timeouts) -> str:
    return (
        f"no answer in time (connect within {limits.connect_seconds:g} s, "
        f"begin within {limits.first_seconds:g} s, end within {limits.total_seconds:g} s)"
    )


def _bounds(limits: Timeouts, streams: bool) -> openai.Timeout:
    return openai.Timeout(limits.until_text(streams), connect=limits.connect_seconds)


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
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        api_key: str | None,
        headers: Mapping[str, str],
        timeouts: Timeouts,
    ) -> None:
        self.urls = urls
        self._api_key = api_key or "none"
        self._headers = dict(headers)
        self._timeouts = timeouts
        self._session: _Session | None = None

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.loop is asyncio.get_running_loop():
            await session.clients[0].close()

    def shown_url(self, index: int) -> str:
        """Return an API root without user name and password."""
        return without_secrets(self.urls[index])

    def shown_urls(self) -> str:
        return " and ".join(self.shown_url(index) for index in range(len(self.urls)))

    async def post_chat(
        self,
        fields: JsonDict,
        index: int,
        *,
        on_text: Callable[[int], None] | None = None,
        limits: Timeouts | None = None,
    ) -> Answered:
        """Return the chat completion that the server answers to `fields`, streamed or not.

        `on_text` is told how many characters came so far, whenever some do; `limits` are instead of the usual.

        Raises:
            EndpointError: there is none.
        """
        rest = {name: value for name, value in fields.items() if name not in ("model", "messages", "stream")}
        chat = self._open().clients[index].chat.completions.with_streaming_response
        streams, limits = bool(fields.get("stream")), limits or self._timeouts
        request = chat.create(
            model=fields["model"],
            messages=fields["messages"],
            stream=fields.get("stream", openai.omit),
            extra_body=rest,
            timeout=_bounds(limits, streams),
        )
        with self._sorted_errors(index, limits):
            return await _receive(request, limits, streams, on_text)

    async def get_models(self, index: int) -> str:
        """Return the body of `GET /models`.

        Raises:
            EndpointError: the server did not answer with 200.
        """
        with self._sorted_errors(index, self._timeouts):
            async with asyncio.timeout(self._timeouts.total_seconds):
                return (await self._open().clients[index].models.with_raw_response.list()).text

    async def look(self, path: str, index: int, body: JsonDict | None = None) -> JsonDict | None:
        """Ask for something of the server's own, beside its API root: the JSON at `path`, or None.

        With a `body` it is a POST.
        """
        client = self._open().clients[index]
        url = f"{self.urls[index].removesuffix('/v1')}{path}"
        ask = client.get(url, cast_to=str) if body is None else client.post(url, cast_to=str, body=body)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                found = json.loads(await ask)
        except (TimeoutError, openai.OpenAIError, ValueError):
            return None
        return found if isinstance(found, dict) else None

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

    @contextmanager
    def _sorted_errors(self, index: int, limits: Timeouts) -> Iterator[None]:
        """Turn whatever is raised on the way into an EndpointError."""
        try:
            yield
        except EndpointError as error:
            raise self.error(error.fault, str(error), index, detail=error.detail) from None
        except (TimeoutError, openai.APITimeoutError, httpx2.TimeoutException):
            raise self.error(Fault.TIMEOUT, _overdue(limits), index) from None
        except openai.APIConnectionError as error:
            what = f"the connection failed: {error.__cause__ or error}"
            raise self.error(Fault.UNREACHABLE, what, index) from None
        except openai.APIStatusError as error:
            raise self._status_error(error, index) from None
        except httpx2.HTTPError as error:
            raise self.error(Fault.BROKEN, f"the connection broke off: {error}", index) from None
        except (openai.OpenAIError, ValueError) as error:
            raise self.error(Fault.HOLLOW, f"the reply can't be read: {error}", index) from None

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
            self._session = _Session(loop, self._clients())
        return self._session

    def _clients(self) -> tuple[openai.AsyncOpenAI, ...]:
        timeout = _bounds(self._timeouts, streams=False)
        # A proxy named in the environment would catch loopback addresses too.
        local = urlsplit(self.urls[0]).hostname in LOOPBACK
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
