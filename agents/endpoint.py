"""A client for any OpenAI-compatible chat-completions endpoint, made to survive what such servers do.

Only `POST /chat/completions` and `GET /models` are used. There is one retry layer (ours), and what a server refuses
once (a parameter, the system role, one form of its URL) is written into its profile and not sent again.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from netwright.agents.acquaintance import Acquaintance, listed
from netwright.agents.adapting import Course, request_fields
from netwright.agents.base import Ledger, Purse
from netwright.agents.chat import (
    ChatRequest,
    Progress,
    Reply,
    answered_call,
    cached_tokens,
    cautious_tokens,
    count_tokens,
    estimated_tokens,
    failed_call,
    replayed,
)
from netwright.agents.faults import EndpointError, Fault, context_limit, raw_reply, reasoning_place
from netwright.agents.local_model import SCHEME
from netwright.agents.pacing import Pace
from netwright.agents.profile import Profile, ProfileStore
from netwright.agents.retrying import RetryRule, retrying
from netwright.agents.transport import Answered, Timeouts, Transport, candidate_urls
from netwright.errors import ConfigError
from netwright.types import JsonDict

if TYPE_CHECKING:
    from netwright.agents.model_server import ModelServer

logger = logging.getLogger(__name__)

_MAX_ADAPTATIONS = 10
_TOO_MUCH = frozenset({Fault.RATE_LIMITED, Fault.TIMEOUT, Fault.LOADING})


class Endpoint:
    """One model behind one URL. `aclose` it (or use `async with`) in the event loop that used it.

    Args:
        base_url: with or without `/v1`; both are tried and what works is remembered.
        model: None takes the only one that `/models` lists.
        api_key: None sends a dummy, which local servers ignore.
        headers: sent with every request; like the key, never logged, stored or shown.
        timeouts: for each try.
        retries: the one retry layer.
        concurrency: the most requests in flight at once; None: what the profile says that is answered at once, or 1.
        profiles: where what was learned is kept; None forgets it with this object.
        on_progress: told how answers come along.
        purse: asked before every call that the ledger cannot answer; None: calls are not capped.
        server: what answers there, where it is ours: it is started when asked, and ended by `aclose`.
        turn: held during every call that is sent; None: calls wait for nothing.

    Raises:
        ConfigError: `base_url` is no URL.
    """

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        api_key: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryRule | None = None,
        concurrency: int | None = None,
        profiles: ProfileStore | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        purse: Purse | None = None,
        server: ModelServer | None = None,
        turn: Callable[[], AbstractAsyncContextManager[None]] | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        self.transport = Transport(candidate_urls(base_url), api_key, headers or {}, self._timeouts)
        known_as = f"{SCHEME}{server.model}" if server else None
        self.known = Acquaintance(self.transport, model, profiles, known_as)
        self._server = server
        self._turn = turn or nullcontext
        self._retries = retries or RetryRule()
        self._concurrency = concurrency
        self._on_progress = on_progress
        self._purse = purse
        self._pace: Pace | None = None
        self._warned_of_truncation = False
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self.transport.aclose()
        if self._server is not None:
            await self._server.aclose()

    @property
    def url(self) -> str:
        """The API root in use, without user name and password."""
        return self.known.url

    async def profile(self) -> Profile:
        """Return what is known of the endpoint and its model. Raises: as `model_name`."""
        return await self.known.profile()

    async def model_name(self) -> str:
        """Return the model in use; asks the endpoint when none was given.

        Raises:
            ConfigError: none was given and the endpoint does not list exactly one.
            ProviderError: the endpoint did not answer.
        """
        return (await self.profile()).model

    async def chat(self, request: ChatRequest, ledger: Ledger) -> Reply:
        """Answer `request` from the ledger, or ask the endpoint and record what came.

        A recorded failure is not replayed: it may have passed.

        Raises:
            EndpointError: no answer after all tries; the failure is recorded.
            CapReached: the purse has no room for the call; nothing is sent or recorded.
            ConfigError: see `model_name`.
        """
        model = await self.model_name()
        key = request.key(model)
        known = ledger.find(key)
        if known is not None and known.reply is not None:
            return replayed(known)
        prompt_tokens = cautious_tokens(request.characters)
        purse = self._purse
        held = purse.held(request.role, model, prompt_tokens, request.max_tokens) if purse else nullcontext()
        async with held, self._turn():
            return await self._recorded(request, model, key, ledger)

    async def _recorded(self, request: ChatRequest, model: str, key: str, ledger: Ledger) -> Reply:
        """Ask, and record under `key` what came. Raises: EndpointError."""
        began, troubles = time.perf_counter(), list[str]()
        try:
            reply = await self._ask(request, troubles)
        except EndpointError as error:
            ledger.record(failed_call(request, model, key, error, time.perf_counter() - began))
            logger.warning("llm call failed role=%s key=%.12s: %s", request.role, key, error)
            raise
        call = answered_call(request, key, reply, "; ".join(troubles), time.perf_counter() - began)
        ledger.record(call)
        logger.info(
            "llm call role=%s key=%.12s prompt=%.12s model=%s status=%s tokens=%d+%d seconds=%.2f",
            *(request.role, key, request.prompt_sha256, model, call.status),
            *(reply.prompt_tokens, reply.completion_tokens, call.seconds),
        )
        return reply

    async def once(self, request: ChatRequest) -> Reply:
        """Answer `request`, unrecorded; a reply without text will do, and nobody waits for a server that is gone.

        Raises: as `chat`.
        """
        return await self._ask(request, [], patient=False)

    async def verify(self) -> Reply:
        """Ask for one token, so that a campaign learns before it starts that its endpoint works.

        The model may have to be loaded for it: a server that answers at all has the whole time for this one token.

        Raises:
            ConfigError: the URL, the model or the key is wrong.
            ProviderError: the endpoint is down, too slow, or speaks nonsense.
        """
        model = await self.model_name()
        probe = ChatRequest(role="probe", messages=({"role": "user", "content": "Say yes."},), max_tokens=1)
        patient = replace(self._timeouts, first_seconds=self._timeouts.total_seconds)
        try:
            reply = await self._ask(probe, [], patient=False, limits=patient)
        except EndpointError as error:
            if error.fault is Fault.UNKNOWN_MODEL:
                raise ConfigError(f"{error} (asked for {model!r}{await self._offer()})") from None
            if error.fault is Fault.NOT_CHAT:
                raise ConfigError(f"{error} (tried {self.transport.shown_urls()})") from None
            if error.fault is Fault.KEY_REFUSED:
                raise ConfigError(str(error)) from None
            raise
        logger.info("endpoint verified url=%s model=%s", self.url, model)
        return reply

    async def _ask(
        self, request: ChatRequest, troubles: list[str], *, patient: bool = True, limits: Timeouts | None = None
    ) -> Reply:
        """Get one answer within the retry rule; what went wrong on the way is appended to `troubles`.

        When not patient, a refused connection is not tried again, and a reply without text will do.
        """
        tries = retrying(self._retries, self._timeouts.total_seconds, troubles, patient=patient)
        return await tries(self._try, request, Course(limits=limits), needs_text=patient)

    async def _try(self, request: ChatRequest, course: Course, *, needs_text: bool) -> Reply:
        """Make one try, repeated at once while the server only refuses what can be left out."""
        if self._server is not None:
            await self._server.up()
        for _ in range(_MAX_ADAPTATIONS):
            profile = await self.profile()
            fields, url_index = request_fields(request, profile, course), self.known.url_index
            pace = self._pace = self._pace or Pace(self._concurrency or profile.parallel or 1)
            try:
                async with pace:
                    answered = await self._post(request, fields, url_index, course.limits)
                    reply = self._reply(request, answered, profile.model, needs_text)
                    # Probes are too unlike each other for their rates to say how many at once pay.
                    if needs_text:
                        pace.answered(reply.completion_tokens / max(reply.seconds, 1e-6))
            except EndpointError as error:
                if error.fault in _TOO_MUCH:
                    pace.overloaded()
                if error.fault is Fault.OVERFLOW and (limit := context_limit(error.detail or str(error))):
                    # Prompts of this campaign stay as they are; the next one begins with what is known then.
                    self.known.learn(context_tokens=limit)
                if not self.known.adapt(error, fields, url_index, course):
                    raise
                continue
            self.known.learn_from(answered, fields, course)
            return reply
        raise self._error(Fault.REFUSED, "it refuses one part of the request after another")

    async def _post(self, request: ChatRequest, fields: JsonDict, url_index: int, limits: Timeouts | None) -> Answered:
        """Make one request, and tell how its answer comes along."""
        number, began, tell = next(self._numbers), time.perf_counter(), self._on_progress

        def on_text(characters: int, *, ended: bool = False) -> None:
            if tell is not None:
                tell(Progress(request.role, number, characters, time.perf_counter() - began, ended))

        try:
            return await self.transport.post_chat(fields, url_index, on_text=on_text, limits=limits)
        finally:
            on_text(0, ended=True)

    def _reply(self, request: ChatRequest, answered: Answered, model: str, needs_text: bool) -> Reply:
        text, cut_off = raw_reply(answered.body)
        if needs_text and not text.strip() and not cut_off:
            raise self._error(Fault.HOLLOW, "it answered 200 with an empty message")
        prompt_tokens, completion_tokens, estimated = count_tokens(answered.body, request.characters, len(text))
        if not estimated:
            self._watch_truncation(prompt_tokens, estimated_tokens(request.characters))
        return Reply(
            text=self.transport.without_secrets(text),
            cut_off=cut_off,
            model=model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            tokens_estimated=estimated,
            cached_tokens=cached_tokens(answered.body),
            streamed=answered.streamed,
            reasoning=reasoning_place(answered.body),
            first_seconds=answered.first_seconds,
            seconds=answered.seconds,
        )

    def _watch_truncation(self, counted: int, expected: int) -> None:
        """Warn once of a prompt that was cut silently to the context; the count gives it away."""
        if not self._warned_of_truncation and expected > 1000 and counted < expected / 2:
            self._warned_of_truncation = True
            self.known.learn(cuts_prompts=True)
            logger.warning(
                "endpoint %s counted %d prompt tokens where about %d were sent: it seems to cut prompts "
                "silently; load the model with a larger context, see `netwright endpoint check`",
                *(self.url, counted, expected),
            )

    async def _offer(self) -> str:
        try:
            offered = await self.known.offered_models()
        except EndpointError:
            return ""
        return f"; it offers {listed(offered)}" if offered else ""

    def _error(self, fault: Fault, what: str) -> EndpointError:
        return self.transport.error(fault, what, self.known.url_index)
