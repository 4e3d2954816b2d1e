"""One campaign against an endpoint, measured: what came of it, what it cost, and what was netwright's own time."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from netwright.agents.transport import Transport
from netwright.campaign.expansion import Expander
from netwright.campaign.running import run_campaign
from netwright.campaign.scheduler import Scheduler
from netwright.campaign.work import Work
from netwright.config import CampaignConfig
from netwright.memory.records import Campaign, Experiment, ExperimentRecord, LlmTotals
from netwright.memory.store import Memory
from netwright.types import LlmCall

_watch: ContextVar[Watch] = ContextVar("watch")


@dataclass
class Watch:
    """Adds up what the event loop does for one design: `own` seconds, but for those `of_endpoint`.

    These are the client's, between the question and the answer. `cpu` is the part of `own` on the processor: on a
    machine that others use too, the rest is theirs.
    """

    own: float = 0.0
    cpu: float = 0.0
    of_endpoint: bool = False
    since: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        self.since = (time.perf_counter(), time.thread_time())

    def stop(self) -> None:
        if not self.of_endpoint:
            self.own += time.perf_counter() - self.since[0]
            self.cpu += time.thread_time() - self.since[1]

    def switch(self, *, of_endpoint: bool) -> None:
        """Go on for the endpoint, or for the design."""
        self.stop()
        self.of_endpoint = of_endpoint
        self.start()


class Meter:
    """Notes for each design what netwright itself did on its behalf, in seconds in which nothing else could be done.

    That is to choose the action, to tell what is known, to read answers, to compare, to judge, to remember and to
    learn: whatever its callbacks in the event loop take. Slots and endpoint work elsewhere meanwhile. Also notes the
    seconds of requests that failed.
    """

    def __init__(self) -> None:
        self.watches: defaultdict[int, Watch] = defaultdict(Watch)
        self.failed_seconds = 0.0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Look over the shoulder of the campaigns of this process."""
        with ExitStack() as stack:
            for owner, name, wrap in (
                (asyncio.Handle, "_run", _callback),
                (Transport, "post_chat", self._request),
                (Expander, "run", self._expansion),
                (Scheduler, "_ask", self._choice),
                (Scheduler, "_tell", self._lesson),
            ):
                stack.enter_context(_wrapped(owner, name, wrap))
            yield

    def _request(self, kept: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def post_chat(*arguments: Any, **options: Any) -> Any:
            watch = _watch.get(None) or Watch()
            watch.switch(of_endpoint=True)
            began, answered = time.perf_counter(), False
            try:
                found = await kept(*arguments, **options)
                answered = True
                return found
            finally:
                watch.switch(of_endpoint=False)
                self.failed_seconds += 0.0 if answered else time.perf_counter() - began

        return post_chat

    def _expansion(self, kept: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def run(expander: Expander, work: Work) -> Any:
            watch = self.watches[work.action.index] if work.action.kind == "expand" else Watch()
            _watch.set(watch)
            watch.start()
            return await kept(expander, work)

        return run

    def _choice(self, kept: Callable[..., Any]) -> Callable[..., Any]:
        def ask(scheduler: Scheduler) -> None:
            watch = self.watches[scheduler._asked]
            watch.start()
            kept(scheduler)
            watch.stop()

        return ask

    def _lesson(self, kept: Callable[..., Any]) -> Callable[..., Any]:
        def tell(scheduler: Scheduler, record: ExperimentRecord) -> None:
            expands = record.action is not None and record.action.kind == "expand"
            watch = self.watches[record.action.index] if record.action and expands else Watch()
            watch.start()
            kept(scheduler, record)
            watch.stop()

        return tell


def _callback(kept: Callable[[asyncio.Handle], None]) -> Callable[[asyncio.Handle], None]:
    """Charge what a callback of the event loop takes to the design in whose context it runs."""

    def run(handle: asyncio.Handle) -> None:
        watch = handle._context.get(_watch)  # type: ignore[attr-defined]
        if watch is None:
            return kept(handle)
        watch.start()
        try:
            return kept(handle)
        finally:
            watch.stop()

    return run


@contextmanager
def _wrapped(owner: type, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    kept = getattr(owner, name)
    setattr(owner, name, wrap(kept))
    try:
        yield
    finally:
        setattr(owner, name, kept)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a campaign came to. Tokens are those of the calls that were answered; `own_ms` are of each expansion.

    `idle_share` is the part of the slots' time in which they had nothing to train.
    """

    status: str
    trained: int
    passed: int
    lost: int
    turns: int
    mended: int
    calls: int
    tokens: int
    prefix_share: float | None
    seconds: float
    idle_share: float
    failed_request_seconds: float
    own_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    best: float | None


def play(settings: dict[str, Any]) -> Figures:
    """Run the campaign of those settings in a temporary home."""
    config = CampaignConfig.model_validate({"name": "agents", **settings})
    meter = Meter()
    with tempfile.TemporaryDirectory() as home:
        with meter.installed():
            row, board = run_campaign(Path(home), config)
        with Memory.open(Path(home), create=False, read_only=True) as memory:
            designs = [each for each in memory.experiments(row.id) if each.action and each.action.kind == "expand"]
            calls, totals = memory.llm_calls(row.id), memory.llm_totals(row.id)
    slot_seconds = config.workers * board.elapsed_seconds
    return _figures(row, designs, calls, totals, meter, board.elapsed_seconds, 1 - board.busy_seconds / slot_seconds)


def _figures(
    row: Campaign,
    designs: list[Experiment],
    calls: list[LlmCall],
    totals: LlmTotals,
    meter: Meter,
    seconds: float,
    idle_share: float,
) -> Figures:
    stages = Counter(each.stage.partition(":")[0] for each in designs)
    scores = [each.score.value for each in designs if each.score is not None]
    return Figures(
        status=row.status,
        trained=len(scores),
        passed=stages[""] + stages["training"],
        lost=sum(each.candidate_id is None for each in designs),
        turns=sum(_is_another_turn(call) for call in calls),
        mended=sum(len(each.attempts) for each in designs),
        calls=totals.calls,
        tokens=totals.prompt_tokens + totals.completion_tokens,
        prefix_share=totals.prefix_share,
        seconds=seconds,
        idle_share=idle_share,
        failed_request_seconds=meter.failed_seconds,
        own_ms=tuple(1000 * watch.own for watch in meter.watches.values()),
        cpu_ms=tuple(1000 * watch.cpu for watch in meter.watches.values()),
        best=max(scores, default=None),
    )


def _is_another_turn(call: LlmCall) -> bool:
    """Whether an answer was asked for again because its form was wrong."""
    return any("Your answer can't be used yet" in message["content"] for message in call.messages)


def row_of(found: list[Figures]) -> dict[str, Any]:
    """The figures of several seeds as a table has them: sums of counts, means, percentiles over all expansions."""
    tokens, trained = sum(each.tokens for each in found), sum(each.trained for each in found)
    shares = [each.prefix_share for each in found if each.prefix_share is not None]
    return {
        "trained": trained,
        **{name: sum(getattr(each, name) for each in found) for name in ("lost", "calls", "turns", "mended")},
        "passed_per_1000_tokens": round(1000 * sum(each.passed for each in found) / tokens, 3) if tokens else "",
        "tokens_per_trained": round(tokens / trained) if trained else "",
        "prefix_share": round(fmean(shares), 3) if shares else "",
        "seconds": round(fmean(each.seconds for each in found), 1),
        "idle_share": round(fmean(each.idle_share for each in found), 4),
        "failed_request_seconds": round(fmean(each.failed_request_seconds for each in found), 1),
        **_percentiles("own_ms", [each.own_ms for each in found]),
        **_percentiles("cpu_ms", [each.cpu_ms for each in found]),
    }


def _percentiles(name: str, found: list[tuple[float, ...]]) -> dict[str, float]:
    pooled = np.concatenate([np.asarray(each) for each in found])
    return {f"{name}_p{part}": round(float(np.percentile(pooled, part)), 1) for part in (50, 95)}
