"""A client for any OpenAI-compatible chat-completions endpoint, made to survive what such servers do.

Only `POST /chat/completions` (not streamed) and `GET /models` are used. There is one retry layer (ours), and
what a server refuses once (a parameter, the system role, one form of its URL) is not sent again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from netwright.agents.base import Ledger
from netwright.agents.chat import (
    ChatRequest,
    Reply,
    answered_call,
    count_tokens,
    estimated_tokens,
    failed_call,
    folded,
    replayed,
)
from netwright.agents.faults import EndpointError, Fault, names_parameter, raw_reply, refuses_system_role
from netwright.agents.transport import Timeouts, Transport, candidate_urls
from netwright.errors import ConfigError
from netwright.types import JsonDict

logger = logging.getLogger(__name__)

_MAX_ADAPTATIONS = 8
_DROPPABLE = ("response_format", "temperature", "stream")


@dataclass(frozen=True, kw_only=True)
class RetryRule:
    """At most `tries` requests, with jittered waits that grow from `wait_seconds`.

    No wait exceeds `longest_wait_seconds`, whatever a Retry-After header asks for.
    """

    tries: int = 4
    wait_seconds: float = 1.0
    longest_wait_seconds: float = 60.0


@dataclass
class _Learned:
    """What this endpoint turned out to take."""

    url_index: int = 0
    url_is_known: bool = False
    token_field: str | None = "max_tokens"
    dropped: set[str] = field(default_factory=set)
    folds_system: bool = False
    warned_of_truncation: bool = False


class Endpoint:
    """One model behind one URL. `aclose` it (or use `async with`) in the event loop that used it.

    Args:
        base_url: with or without `/v1`; both are tried and what works is remembered.
        model: None takes the only one that `/models` lists.
        api_key: None sends a dummy, which local servers ignore.
        headers: sent with every request; like the key, never logged, stored or shown.
        timeouts: for each try.
        retries: the one retry layer.
        concurrency: requests in flight at once.

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
        concurrency: int = 1,
    ) -> None:
        self._transport = Transport(
            candidate_urls(base_url), api_key, headers or {}, timeouts or Timeouts(), concurrency
        )
        self._model = model
        self._retries = retries or RetryRule()
        self._learned = _Learned()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._transport.aclose()

    @property
    def url(self) -> str:
        """The API root in use, without user name and password."""
        return self._transport.shown_url(self._learned.url_index)

    async def model_name(self) -> str:
        """Return the model in use; asks the endpoint when none was given.

        Raises:
            ConfigError: none was given and the endpoint does not list exactly one.
            ProviderError: the endpoint did not answer.
        """
        if self._model is None:
            offered = await self._offered_models()
            if len(offered) != 1:
                raise ConfigError(_choose_model(self.url, offered))
            self._model = offered[0]
        return self._model

    async def chat(self, request: ChatRequest, ledger: Ledger) -> Reply:
        """Answer `request` from the ledger, or ask the endpoint and record what came.

        A recorded failure is not replayed: it may have passed.

        Raises:
            EndpointError: no answer after all tries; the failure is recorded.
            ConfigError: see `model_name`.
        """
        model = await self.model_name()
        key = request.key(model)
        known = ledger.find(key)
        if known is not None and known.reply is not None:
            return replayed(known)
        began, troubles = time.perf_counter(), list[str]()
        try:
            reply = await self._ask(request, model, troubles)
        except EndpointError as error:
            ledger.record(failed_call(request, model, error, time.perf_counter() - began))
            logger.warning("llm call failed role=%s key=%.12s: %s", request.role, key, error)
            raise
        call = answered_call(request, reply, "; ".join(troubles), time.perf_counter() - began)
        ledger.record(call)
        logger.info(
            "llm call role=%s key=%.12s prompt=%.12s model=%s status=%s tokens=%d+%d seconds=%.2f",
            *(request.role, key, request.prompt_sha256, model, call.status),
            *(reply.prompt_tokens, reply.completion_tokens, call.seconds),
        )
        return reply

    async def verify(self) -> None:
        """Ask for one token, so that a campaign learns before it starts that its endpoint works.

        Raises:
            ConfigError: the URL, the model or the key is wrong.
            ProviderError: the endpoint is down, too slow, or speaks nonsense.
        """
        model = await self.model_name()
        probe = ChatRequest(role="probe", messages=({"role": "user", "content": "Say yes."},), max_tokens=1)
        try:
            await self._ask(probe, model, [], patient=False)
        except EndpointError as error:
            if error.fault is Fault.UNKNOWN_MODEL:
                raise ConfigError(f"{error} (asked for {model!r}{await self._offer()})") from None
            if error.fault is Fault.NOT_CHAT:
                raise ConfigError(f"{error} (tried {self._transport.shown_urls()})") from None
            if error.fault is Fault.KEY_REFUSED:
                raise ConfigError(str(error)) from None
            raise
        logger.info("endpoint verified url=%s model=%s", self.url, model)

    async def _ask(self, request: ChatRequest, model: str, troubles: list[str], *, patient: bool = True) -> Reply:
        """Get one answer within the retry rule; what went wrong on the way is appended to `troubles`.

        When not patient, a refused connection is not tried again, and a reply without text will do.
        """

        def may_pass(error: BaseException) -> bool:
            waits = patient or getattr(error, "fault", None) is not Fault.UNREACHABLE
            return isinstance(error, EndpointError) and error.passing and waits

        def note(state: RetryCallState) -> None:
            troubles.append(f"try {state.attempt_number}: {_error_of(state)}")
            logger.info("llm request is tried again after %s", troubles[-1])

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._retries.tries),
            wait=self._wait_seconds,
            retry=retry_if_exception(may_pass),
            before_sleep=note,
            reraise=True,
        )
        return await retrying(self._try, request, model, needs_text=patient)

    def _wait_seconds(self, state: RetryCallState) -> float:
        rule = self._retries
        backoff = wait_exponential(multiplier=rule.wait_seconds) + wait_random(0, rule.wait_seconds)
        asked_for = getattr(_error_of(state), "retry_after_seconds", None) or 0.0
        return min(max(backoff(state), asked_for), rule.longest_wait_seconds)

    async def _try(self, request: ChatRequest, model: str, *, needs_text: bool) -> Reply:
        """Make one try, repeated at once while the server only refuses what can be left out."""
        for _ in range(_MAX_ADAPTATIONS):
            fields, url_index = self._fields(request, model), self._learned.url_index
            try:
                body = await self._transport.post_chat(fields, url_index)
            except EndpointError as error:
                if not self._adapt(error, fields, url_index):
                    raise
                continue
            self._learned.url_is_known = True
            return self._reply(request, model, body, needs_text)
        raise self._error(Fault.REFUSED, "it refuses one part of the request after another")

    def _fields(self, request: ChatRequest, model: str) -> JsonDict:
        learned = self._learned
        messages = folded(request.messages) if learned.folds_system else list(request.messages)
        fields: JsonDict = {"model": model, "messages": messages, "stream": False}
        if learned.token_field:
            fields[learned.token_field] = request.max_tokens
        if request.temperature is not None:
            fields["temperature"] = request.temperature
        if request.json_object:
            fields["response_format"] = {"type": "json_object"}
        return {name: value for name, value in fields.items() if name not in learned.dropped}

    def _adapt(self, error: EndpointError, sent: JsonDict, url_index: int) -> bool:
        """Learn from a refusal; True when the next request will differ from the one `sent`."""
        learned = self._learned
        if error.fault is Fault.NOT_CHAT:
            return not learned.url_is_known and self._try_next_url(url_index)
        if refuses_system_role(error.detail) and sent["messages"][0]["role"] == "system":
            learned.folds_system = True
            return True
        names_it = error.status_code in (400, 422) and error.fault is not Fault.OVERFLOW
        return names_it and self._drop_parameter(error.detail, sent)

    def _try_next_url(self, url_index: int) -> bool:
        """Turn to the next form of the URL; after the last one, back to the first and False."""
        count = len(self._transport.urls)
        self._learned.url_index = (url_index + 1) % count
        return url_index + 1 < count

    def _drop_parameter(self, detail: str, sent: JsonDict) -> bool:
        learned = self._learned
        for name in ("max_tokens", "max_completion_tokens"):
            if name in sent and names_parameter(detail, name):
                learned.token_field = "max_completion_tokens" if name == "max_tokens" else None
                return True
        refused = {name for name in _DROPPABLE if name in sent and names_parameter(detail, name)}
        learned.dropped |= refused
        return bool(refused)

    def _reply(self, request: ChatRequest, model: str, body: JsonDict, needs_text: bool) -> Reply:
        text, cut_off = raw_reply(body)
        if needs_text and not text.strip() and not cut_off:
            raise self._error(Fault.HOLLOW, "it answered 200 with an empty message")
        prompt_tokens, completion_tokens, estimated = count_tokens(body, request.characters, len(text))
        self._watch_truncation(prompt_tokens, estimated_tokens(request.characters))
        return Reply(
            text=self._transport.without_secrets(text),
            cut_off=cut_off,
            model=model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            tokens_estimated=estimated,
        )

    def _watch_truncation(self, counted: int, expected: int) -> None:
        """Warn once of a prompt that was cut silently to the context; the count gives it away."""
        if not self._learned.warned_of_truncation and expected > 1000 and counted < expected / 2:
            self._learned.warned_of_truncation = True
            logger.warning(
                "endpoint %s counted %d prompt tokens where about %d were sent: it seems to cut prompts "
                "silently; load the model with a larger context (Ollama: num_ctx)",
                *(self.url, counted, expected),
            )

    async def _offered_models(self) -> list[str]:
        """Return what `/models` lists, sorted; empty where the route is missing."""
        for index in range(self._learned.url_index, len(self._transport.urls)):
            try:
                names = _model_names(await self._transport.get_models(index))
            except EndpointError as error:
                if error.fault in (Fault.UNREACHABLE, Fault.TIMEOUT, Fault.KEY_REFUSED):
                    raise
                continue
            if names is not None:
                self._learned.url_index = index
                self._learned.url_is_known = True
                return names
        return []

    async def _offer(self) -> str:
        try:
            offered = await self._offered_models()
        except EndpointError:
            return ""
        return f"; it offers {_listed(offered)}" if offered else ""

    def _error(self, fault: Fault, what: str) -> EndpointError:
        return self._transport.error(fault, what, self._learned.url_index)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _model_names(text: str) -> list[str] | None:
    """Model ids in a `/models` reply, sorted; None when it is no such reply."""
    try:
        return sorted({row["id"] for row in json.loads(text)["data"] if isinstance(row["id"], str)})
    except (ValueError, KeyError, TypeError):
        return None


def _choose_model(url: str, offered: list[str]) -> str:
    if not offered:
        return f"endpoint {url} does not list its models; name the one to use (--model NAME)"
    return f"endpoint {url} offers {len(offered)} models; choose one (--model NAME): {_listed(offered)}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
