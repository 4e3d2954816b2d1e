"""Which candidates a search is about: conditions on numbers, and the task, campaign, outcome and origin.

    loss < 1.4        parameters <= 120_000        recall >= 0.9

A number is that of the leaderboard: a mean over seeds at the highest rung that the candidate reached on a task.
"""

from __future__ import annotations

import json
import math
import operator
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from netwright.errors import ConfigError, NotFound
from netwright.memory.connection import Connection
from netwright.memory.rows import RANKED
from netwright.types import Outcome

Mask = NDArray[np.bool_]

_SIGNS = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_CONDITION = re.compile(rf"\s*([^\W\d][\w ]*?)\s*({'|'.join(_SIGNS)})\s*(\S+)\s*")
_NUMBERS = {
    "loss": "avg(t.loss_nats)",
    "rung": "t.rung",
    "seeds": "count(*)",
    "parameters": "max(t.parameters)",
    "flops_per_token": "max(t.flops_per_token)",
    "tokens_per_second": "sum(t.tokens) / nullif(sum(t.wall_seconds), 0.0)",
    "peak_memory_bytes": "max(t.peak_memory_bytes)",
    "wall_seconds": "sum(t.wall_seconds)",
}
"""Numbers of every training by name, as views.LEADERBOARD has them; the metrics of tasks come beside them."""

_COUNTS = f"t.status = 'done' AND t.split = 'validation' AND {RANKED}"
_ROWS = f"""
WITH reached AS (
  SELECT candidate_id, task_id, max(rung) AS rung FROM trials t
  WHERE {_COUNTS} {{changed}} GROUP BY candidate_id, task_id
)
SELECT c.number, t.task_id, group_concat(t.metrics, char(10)) AS metrics,
       {", ".join(f"{sql} AS {name}" for name, sql in _NUMBERS.items())}
FROM reached r
JOIN trials t ON t.candidate_id = r.candidate_id AND +t.task_id = r.task_id AND t.rung = r.rung AND {_COUNTS}
JOIN candidates c ON c.id = t.candidate_id
GROUP BY t.candidate_id, t.task_id
"""
_CHANGED = "AND candidate_id IN (SELECT candidate_id FROM trials WHERE id > ?)"
_IN_CAMPAIGN = """
WITH p AS (SELECT id FROM campaigns WHERE name = ?)
SELECT c.number FROM (
  SELECT candidate_id FROM nodes WHERE campaign_id = (SELECT id FROM p)
  UNION SELECT candidate_id FROM attempts WHERE campaign_id = (SELECT id FROM p)
) n JOIN candidates c ON c.id = n.candidate_id
"""
_OF_TASK = """
SELECT c.number FROM (
  SELECT candidate_id FROM trials WHERE task_id = ?1
  UNION SELECT n.candidate_id FROM campaigns p JOIN nodes n ON n.campaign_id = p.id WHERE p.task_id = ?1
  UNION SELECT a.candidate_id FROM campaigns p JOIN attempts a ON a.campaign_id = p.id WHERE p.task_id = ?1
) t JOIN candidates c ON c.id = t.candidate_id
"""
_JUDGED = """
SELECT c.number FROM (SELECT campaign_id, candidate_id, outcome, max(id) FROM verdicts GROUP BY campaign_id, node) v
JOIN campaigns p ON p.id = v.campaign_id JOIN candidates c ON c.id = v.candidate_id
WHERE v.outcome = ?1 AND (?2 IS NULL OR p.name = ?2) AND (?3 IS NULL OR p.task_id = ?3)
"""


@dataclass(frozen=True)
class Condition:
    """One comparison, such as `loss < 1.4`."""

    name: str
    sign: str
    number: float

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Read a condition.

        Raises:
            ConfigError: it is none.
        """
        found = _CONDITION.fullmatch(text)
        try:
            name, sign, number = found.groups() if found else ("", "", "")
            value = float(number)
            if not math.isfinite(value):
                raise ValueError(number)
        except ValueError:
            raise ConfigError(
                f"{text!r} is no condition: write a name, one of < <= > >= = != and a number, such as 'loss < 1.4'"
            ) from None
        return cls("_".join(name.lower().split()), sign, value)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a candidate must be to be found; what is not given allows all.

    Conditions hold together on one task; `task` is an id or a name. `outcome` is that of the latest verdict on it,
    `origin` who made it (`baseline`, `grammar`, a model's name).
    """

    where: tuple[Condition, ...] = ()
    task: str | None = None
    campaign: str | None = None
    outcome: str | None = None
    origin: str | None = None

    @property
    def is_empty(self) -> bool:
        return self == Filter()


@dataclass
class _Table:
    """Numbers by row; a row is a candidate on a task."""

    candidates: NDArray[np.int64]
    tasks: NDArray[np.object_]
    columns: dict[str, NDArray[np.float64]]


class Catalogue:
    """The numbers of all candidates in this process, brought up to date where the file has changed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[tuple[int, str], tuple[tuple[float | None, ...], dict[str, float]]] = {}
        self._table: _Table | None = None
        self._sets: dict[tuple[str, tuple[Any, ...]], NDArray[np.int64]] = {}
        self._moment: tuple[int, int] | None = None
        self._latest = 0

    def allowed(self, wanted: Filter) -> Mask | None:
        """Which candidates `wanted` allows, by their numbers; None where it allows all.

        Raises:
            ConfigError: there is no such metric, outcome or origin; the message names those that there are.
            NotFound: there is no such campaign or task.
        """
        if wanted.is_empty:
            return None
        self._refresh()
        tasks = self._tasks(wanted)
        mask = np.ones(self._most() + 1, np.bool_)
        for numbers in self._chosen(wanted, tasks):
            inside = np.zeros_like(mask)
            inside[numbers] = True
            mask &= inside
        return mask

    def _chosen(self, wanted: Filter, tasks: Sequence[str] | None) -> Iterable[NDArray[np.int64]]:
        """The candidates that each part of the filter allows."""
        if wanted.where:
            yield self._where(wanted.where, tasks)
        elif wanted.task is not None and tasks is not None:
            yield self._of_tasks(tasks)
        if wanted.campaign is not None:
            yield self._set(_IN_CAMPAIGN, (wanted.campaign,))
        if wanted.outcome is not None:
            yield self._outcomes(wanted, tasks)
        if wanted.origin is not None:
            yield self._origin(wanted.origin)

    def _where(self, where: Sequence[Condition], tasks: Sequence[str] | None) -> NDArray[np.int64]:
        table = self._numbers()
        rows = np.ones(len(table.candidates), np.bool_) if tasks is None else np.isin(table.tasks, list(tasks))
        for condition in where:
            if condition.name not in table.columns:
                known = ", ".join(sorted(table.columns))
                raise ConfigError(f"nothing here has a number {condition.name!r}; known: {known}")
            column = table.columns[condition.name]
            rows &= ~np.isnan(column) & _SIGNS[condition.sign](column, condition.number)
        return table.candidates[rows]

    def _of_tasks(self, tasks: Sequence[str]) -> NDArray[np.int64]:
        return np.concatenate([self._set(_OF_TASK, (task,)) for task in tasks])

    def _outcomes(self, wanted: Filter, tasks: Sequence[str] | None) -> NDArray[np.int64]:
        known = [outcome.value for outcome in Outcome]
        if wanted.outcome not in known:
            raise ConfigError(f"there is no outcome {wanted.outcome!r}; known: {', '.join(known)}")
        of = tasks if tasks is not None else (None,)
        return np.concatenate([self._set(_JUDGED, (wanted.outcome, wanted.campaign, task)) for task in of])

    def _origin(self, origin: str) -> NDArray[np.int64]:
        found = self._set("SELECT number FROM candidates WHERE origin = ?", (origin,))
        if not len(found):
            rows = self._connection.rows("SELECT DISTINCT origin FROM candidates ORDER BY 1")
            known = ", ".join(row[0] for row in rows)
            raise ConfigError(f"no candidate is by {origin!r}; known: {known}")
        return found

    def _tasks(self, wanted: Filter) -> tuple[str, ...] | None:
        """The ids of the tasks that are meant, None for all."""
        if wanted.campaign is not None:
            row = self._connection.row("SELECT task_id FROM campaigns WHERE name = ?", (wanted.campaign,))
            if row is None:
                names = [each[0] for each in self._connection.rows("SELECT name FROM campaigns ORDER BY id")]
                raise NotFound(f"there is no campaign {wanted.campaign!r}; known: {', '.join(names)}")
            if wanted.task is None:
                return (row[0],)
        if wanted.task is None:
            return None
        rows = self._connection.rows("SELECT id, name FROM tasks ORDER BY id")
        found = tuple(row["id"] for row in rows if wanted.task in (row["id"], row["name"]))
        if not found:
            known = ", ".join(dict.fromkeys(row["name"] for row in rows))
            raise NotFound(f"nothing was tried on a task {wanted.task!r}; known: {known}")
        return found

    def _set(self, sql: str, parameters: tuple[Any, ...]) -> NDArray[np.int64]:
        key = (sql, parameters)
        if key not in self._sets:
            self._sets[key] = np.array([row[0] for row in self._connection.rows(sql, parameters)], np.int64)
        return self._sets[key]

    def _most(self) -> int:
        return int(self._connection.rows("SELECT coalesce(max(number), 0) FROM candidates")[0][0])

    def _refresh(self) -> None:
        moment = self._connection.moment()
        if moment != self._moment:
            self._moment, self._table, self._sets = moment, None, {}

    def _numbers(self) -> _Table:
        if self._table is None:
            latest = int(self._connection.rows("SELECT coalesce(max(id), 0) FROM trials")[0][0])
            changed, parameters = (_CHANGED, (self._latest,)) if self._latest else ("", ())
            for row in self._connection.rows(_ROWS.format(changed=changed), parameters):
                numbers = tuple(row[name] for name in _NUMBERS)
                self._rows[row["number"], row["task_id"]] = (numbers, _metrics_of(row))
            self._latest = latest
            self._table = _tabulated(self._rows)
        return self._table


def _metrics_of(row: sqlite3.Row) -> dict[str, float]:
    """The mean of each metric over the seeds, by its name as one word."""
    values: dict[str, list[float]] = defaultdict(list)
    for text in row["metrics"].split("\n"):
        for name, value in json.loads(text).items():
            values["_".join(name.lower().split())].append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


def _tabulated(rows: Mapping[tuple[int, str], tuple[tuple[float | None, ...], Mapping[str, float]]]) -> _Table:
    names = dict.fromkeys(name for _, metrics in rows.values() for name in metrics)
    metrics = {name: [row[1].get(name, math.nan) for row in rows.values()] for name in names}
    numbers = {name: [row[0][place] for row in rows.values()] for place, name in enumerate(_NUMBERS)}
    return _Table(
        np.array([number for number, _ in rows], np.int64),
        np.array([task for _, task in rows], np.object_),
        {name: np.array(column, np.float64) for name, column in (metrics | numbers).items()},
    )
