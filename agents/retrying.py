"""The one retry layer: which failures are tried again, how often, and after what wait."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_exponential, wait_random

from netwright.agents.faults import EndpointError, Fault

logger = logging.getLogger(__name__)

_AT_ONCE = frozenset({Fault.BROKEN, Fault.HOLLOW, Fault.NOT_CHAT})
"""Faults that no waiting mends: the first of them is answered by another try at once."""


@dataclass(frozen=True, kw_only=True)
class RetryRule:
    """At most `tries` requests, with jittered waits that grow from `wait_seconds`.

    An answer that came broken or empty is asked for again at once, the first time: the server has nothing to recover.
    No wait exceeds `longest_wait_seconds`, whatever a Retry-After header asks for. While a server says that it is
    loading its model, it is asked on until the total time-out.
    """

    tries: int = 4
    wait_seconds: float = 1.0
    longest_wait_seconds: float = 60.0


def retrying(rule: RetryRule, loading_seconds: float, troubles: list[str], *, patient: bool) -> AsyncRetrying:
    """Make what calls a try until it succeeds, or its failure is one that stays.

    Failures on the way are appended to `troubles`. A server that is loading its model is asked for `loading_seconds`;
    when not patient, a refused connection is not tried again.
    """

    def may_pass(error: BaseException) -> bool:
        waits = patient or getattr(error, "fault", None) is not Fault.UNREACHABLE
        return isinstance(error, EndpointError) and error.passing and waits

    def enough(state: RetryCallState) -> bool:
        if getattr(_error_of(state), "fault", None) is Fault.LOADING:
            return (state.seconds_since_start or 0.0) >= loading_seconds
        return state.attempt_number >= rule.tries

    def wait_seconds(state: RetryCallState) -> float:
        if state.attempt_number == 1 and getattr(_error_of(state), "fault", None) in _AT_ONCE:
            return 0.0
        backoff = wait_exponential(multiplier=rule.wait_seconds) + wait_random(0, rule.wait_seconds)
        asked_for = getattr(_error_of(state), "retry_after_seconds", None) or 0.0
        return min(max(backoff(state), asked_for), rule.longest_wait_seconds)

    def note(state: RetryCallState) -> None:
        troubles.append(f"try {state.attempt_number}: {_error_of(state)}")
        logger.info("llm request is tried again after %s", troubles[-1])

    return AsyncRetrying(
        stop=enough, wait=wait_seconds, retry=retry_if_exception(may_pass), before_sleep=note, reraise=True
    )


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
