"""A policy of the user's own under guard: whatever it raises or answers, the campaign ends with a sentence.

Nothing is repaired in silence: a search in which some choices are not the policy's own would pass for its work. All
that was asked and found until then is in the memory, and goes on from there once the policy is mended.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from netwright.errors import PolicyError
from netwright.search.faults import fault
from netwright.search.policy import (
    NodeStatistics,
    Observation,
    Policy,
    Preferences,
    Searches,
    Sketcher,
    Warmable,
    no_sketches,
)
from netwright.search.tree_state import TreeState
from netwright.types import Action, Structure

T = TypeVar("T")


class GuardedPolicy:
    """The policy `inner`, which errors call `name`, and whose every answer is checked against what is known.

    Every method raises PolicyError for what the policy raises or answers wrongly.
    """

    def __init__(self, inner: Policy, *, name: str, rungs: int) -> None:
        self._inner = inner
        self._name = name
        self._state = TreeState(rungs)

    def ask(self, index: int, sketch: Sketcher = no_sketches) -> Action:
        answer = self._call(f"ask({index})", lambda: self._inner.ask(index, sketch))
        complaint = fault(self._state, index, answer)
        if complaint:
            raise self._error(f"answered ask({index}) with {complaint}")
        self._state.record_ask(answer)
        return answer

    def resume(self, action: Action, structure: Structure | None = None) -> None:
        self._state.record_ask(action)
        self._call(f"resume of action {action.index}", lambda: self._inner.resume(action, structure))

    def tell(self, observation: Observation) -> None:
        # First: what answers nothing is the campaign's mistake, not the policy's.
        self._state.record_tell(observation)
        self._call(f"tell about node {observation.node}", lambda: self._inner.tell(observation))

    def node_statistics(self) -> Mapping[int, NodeStatistics]:
        answer = self._call("node_statistics()", self._inner.node_statistics)
        if not isinstance(answer, Mapping):
            raise self._error(f"answered node_statistics() with a {type(answer).__name__}, expected a mapping by node")
        for node, statistics in answer.items():
            if node not in self._state.nodes:
                raise self._error(f"has statistics of {node!r}, which is no node that it was told of")
            if not _is_sound(statistics):
                raise self._error(
                    f"has the statistics {statistics!r} of node {node}, expected NodeStatistics with visits of at "
                    "least 0 and a finite value"
                )
        return answer

    def preferences(self) -> Preferences:
        answer = self._call("preferences()", self._inner.preferences)
        if not _are_factors(answer):
            raise self._error(
                f"answered preferences() with {answer!r:.200}, expected a dictionary of places to a finite factor "
                "above 0 for each option"
            )
        return answer

    def _call(self, what: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except (Exception, SystemExit) as error:
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{frames[-1].filename}, line {frames[-1].lineno}"
            raise self._error(f"raised {type(error).__name__} in {what}: {error} ({where})") from error

    def _error(self, complaint: str) -> PolicyError:
        return PolicyError(f"{self._name} {complaint}; nothing is lost: mend it, then go on with `netwright resume`")


class GuardedWarmablePolicy(GuardedPolicy):
    """The same for a policy that can start from earlier searches."""

    def warm(self, searches: Searches) -> None:
        inner = self._inner
        assert isinstance(inner, Warmable)
        self._call("warm()", lambda: inner.warm(searches))


def guarded(inner: Policy, *, name: str, rungs: int) -> GuardedPolicy:
    """Put `inner` under guard; what it cannot do, it cannot do there either."""
    return (GuardedWarmablePolicy if isinstance(inner, Warmable) else GuardedPolicy)(inner, name=name, rungs=rungs)


def _are_factors(answer: Any) -> bool:
    return isinstance(answer, dict) and all(
        isinstance(options, dict)
        and all(isinstance(factor, float | int) and 0.0 < factor < math.inf for factor in options.values())
        for options in answer.values()
    )


def _is_sound(statistics: Any) -> bool:
    return (
        isinstance(statistics, NodeStatistics)
        and isinstance(statistics.visits, int)
        and statistics.visits >= 0
        and isinstance(statistics.value, float | int)
        and math.isfinite(statistics.value)
    )
