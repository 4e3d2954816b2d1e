"""The order in which the search is told results."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.memory.records import ExperimentRecord


class Inbox:
    """Results on their way to the search.

    `ordered`: results come out by action index, without gaps. The search then knows the same at every action whatever
    finished first, and a campaign repeats itself exactly, whenever it was killed. Otherwise they come out as they came
    in, so that one slow answer of an endpoint holds nobody up; or, where `order` names actions, in that order, which is
    that of a recorded campaign.
    """

    def __init__(self, *, ordered: bool, order: Sequence[int] | None = None) -> None:
        self.ordered = ordered
        self._order = order
        self.told = 0
        self._waiting: dict[int, ExperimentRecord] = {}

    def put(self, index: int, record: ExperimentRecord) -> None:
        self._waiting[index] = record

    def take(self) -> ExperimentRecord | None:
        """The next result to tell, or None while it has not arrived."""
        index = self._next()
        if index is None or index not in self._waiting:
            return None
        self.told += 1
        return self._waiting.pop(index)

    def _next(self) -> int | None:
        if self._order is not None:
            return self._order[self.told] if self.told < len(self._order) else None
        return self.told if self.ordered else next(iter(self._waiting), None)
