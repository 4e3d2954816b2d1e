"""A campaign or the whole memory at a glance: the tree of designs, the failures, the sums; and free SQL."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netwright.errors import ConfigError
from netwright.memory import schema
from netwright.memory.connection import DAMAGE, explain, open_to_read
from netwright.memory.store import Memory
from netwright.types import JsonDict


@dataclass(frozen=True, kw_only=True)
class TreeRow:
    """A node of the search tree; rows come parents first, `depth` counts from 0.

    `parent` is the first parent, `other_parents` the rest (a combination has two). `loss_nats` is None where
    the experiment failed; `failure` then says why.
    """

    depth: int
    node: int
    parent: int | None
    other_parents: tuple[int, ...]
    operator: str
    candidate_id: str | None
    short: str | None
    title: str | None
    loss_nats: float | None
    standard_error: float | None
    rung: int | None
    outcome: str | None
    delta_nats: float | None
    p_value: float | None
    stage: str
    failure: str
    visits: int
    value: float | None


_TREE_COLUMNS = set(TreeRow.__dataclass_fields__) - {"depth", "parent", "other_parents"}


def tree(memory: Memory, campaign: str | None = None) -> list[TreeRow]:
    """The campaign's designs with what they came from, in reading order.

    Raises:
        NotFound: there is no such campaign.
    """
    sql = "SELECT * FROM lineage WHERE campaign_id = ?"
    nodes: dict[int, JsonDict] = {}
    parents: dict[int, list[int]] = defaultdict(list)
    for row in memory.connection.rows(sql, (memory.campaign(campaign).id,)):
        nodes[row["node"]] = {name: row[name] for name in _TREE_COLUMNS}
        if row["parent_node"] is not None:
            parents[row["node"]].append(row["parent_node"])
    children: dict[int | None, list[int]] = defaultdict(list)
    for node in nodes:
        children[parents[node][0] if parents[node] else None].append(node)
    return [
        TreeRow(
            **nodes[node],
            depth=depth,
            parent=next(iter(parents[node]), None),
            other_parents=tuple(parents[node][1:]),
        )
        for depth, node in _walk(children)
    ]


def _walk(children: dict[int | None, list[int]]) -> Iterator[tuple[int, int]]:
    """(depth, node) parents first; a stack, since a lineage may be deeper than Python's recursion."""
    stack = [(0, node) for node in reversed(_reading_order(children[None]))]
    while stack:
        depth, node = stack.pop()
        yield depth, node
        stack += [(depth + 1, child) for child in reversed(_reading_order(children[node]))]


def _reading_order(nodes: list[int]) -> list[int]:
    """Baselines (-1, -2, ...) in the order in which they are listed, then designs by age."""
    return sorted(nodes, key=lambda node: (node >= 0, abs(node)))


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One thing that failed: an experiment, an attempt on the way to one, a promotion to a higher rung, or a training.

    A training outside the search (a baseline, `evaluate`, `confirm`) has no node, and maybe no campaign.
    """

    campaign: str | None
    node: int | None
    what: str
    candidate_id: str | None
    short: str | None
    title: str | None
    failure: str
    last_output: str


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """All failures at one stage, e.g. `gate:causality`."""

    stage: str
    count: int
    failures: list[Failure]


def failures(memory: Memory, campaign: str | None = None) -> list[FailureGroup]:
    """What failed in a campaign, by stage, the most frequent stage first.

    Without a name: in the campaign that was started last, if there is one, and outside all campaigns.

    Raises:
        NotFound: there is no such campaign.
    """
    if campaign is not None:
        where, chosen = "campaign_id = ?", memory.campaign(campaign).id
    else:
        where, chosen = "campaign_id IS NULL OR campaign_id = ?", max((row.id for row in memory.campaigns()), default=0)
    groups: dict[str, list[Failure]] = defaultdict(list)
    for row in memory.connection.rows(f"SELECT * FROM failures WHERE {where}", (chosen,)):
        known = Failure(**{name: row[name] for name in Failure.__dataclass_fields__})
        groups[row["stage"] or "unknown"].append(known)
    found = [FailureGroup(stage=stage, count=len(rows), failures=rows) for stage, rows in groups.items()]
    return sorted(found, key=lambda group: -group.count)


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Sums over a campaign, or over the whole memory.

    `trials` are counted by status, `tiers` by isolation, `duplicates` (known designs) by what they were recognised by.
    """

    campaigns: int
    experiments: int
    candidates: int
    trials: dict[str, int]
    tiers: dict[str, int]
    training_seconds: float
    trained_tokens: int
    rejected_by_gate: dict[str, int]
    duplicates: dict[str, int]
    operators: list[JsonDict]
    llm: JsonDict
    database_bytes: int


def stats(memory: Memory, campaign: str | None = None) -> Stats:
    """Count what was done; `operators` says how often each made something and how often that was better.

    Raises:
        NotFound: there is no such campaign.
    """
    chosen = None if campaign is None else memory.campaign(campaign).id
    where = "1" if chosen is None else f"campaign_id = {chosen}"

    def counts(sql: str) -> dict[str, int]:
        return {row[0]: row[1] for row in memory.connection.rows(sql)}

    sums = memory.connection.rows(
        f"SELECT count(*) FILTER (WHERE node >= 0), count(DISTINCT candidate_id) FROM nodes WHERE {where}"
    )[0]
    training = memory.connection.rows(
        "SELECT coalesce(sum(wall_seconds), 0.0), coalesce(sum(CASE status WHEN 'done' THEN tokens END), 0) "
        f"FROM trials WHERE {where}"
    )[0]
    tried = " UNION ".join(f"SELECT candidate_id FROM {name} WHERE {where}" for name in ("nodes", "attempts"))
    return Stats(
        campaigns=1 if chosen is not None else len(memory.campaigns()),
        experiments=sums[0],
        candidates=sums[1],
        trials=counts(f"SELECT status, count(*) FROM trials WHERE {where} GROUP BY status ORDER BY 2 DESC"),
        tiers=counts(
            f"SELECT tier, count(*) FROM trials WHERE {where} AND tier <> '' GROUP BY tier ORDER BY tier DESC"
        ),
        training_seconds=training[0],
        trained_tokens=training[1],
        rejected_by_gate=counts(
            "SELECT gate, count(*) FROM gates WHERE NOT passed AND superseded = 0 AND severity = 'error' "
            f"AND candidate_id IN ({tried}) GROUP BY gate ORDER BY 2 DESC"
        ),
        duplicates=dict(memory.duplicates(chosen)),
        operators=_operators(memory, where),
        llm=memory.llm_totals(chosen).model_dump(),
        database_bytes=sum(path.stat().st_size for path in memory.home.glob(f"{memory.path.name}*") if path.is_file()),
    )


def training_pace(memory: Memory, task_id: str) -> float | None:
    """Seconds that a training at the lowest rung of a task took with its scoring, on average; None: there was none."""
    row = memory.connection.row(
        "SELECT avg(wall_seconds + scoring_seconds) FROM trials WHERE task_id = ? AND rung = 0 AND status = 'done'",
        (task_id,),
    )
    return None if row is None else row[0]


def _operators(memory: Memory, where: str) -> list[JsonDict]:
    where = where.replace("campaign_id", "n.campaign_id")
    found = memory.connection.rows(
        "WITH latest AS (SELECT campaign_id, node, max(id), outcome FROM verdicts GROUP BY 1, 2) "
        "SELECT n.operator, count(*) AS made, sum(n.failure <> '') AS failed, "
        "coalesce(sum(v.outcome = 'better'), 0) AS better FROM nodes n "
        "LEFT JOIN latest v ON v.campaign_id = n.campaign_id AND v.node = n.node "
        f"WHERE n.node >= 0 AND {where} GROUP BY n.operator ORDER BY 2 DESC"
    )
    return [dict(row) for row in found]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The answer to a query; `truncated` says that there were more rows than were asked for."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool


_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_PRAGMAS_OF_A_TABLE = {"foreign_key_list", "index_info", "index_list", "table_info", "table_list", "table_xinfo"}
_PRAGMAS_OF_THE_FILE = {"application_id", "data_version", "user_version"}


def sql(memory: Memory, query: str, *, limit: int = 1000, timeout_seconds: float = 30.0) -> Table:
    """Answer one SELECT (or WITH, EXPLAIN, PRAGMA table_info ...) on a connection that cannot write.

    SQLite itself refuses everything else, twice: the file is open for reading only, and an authorizer allows
    nothing but reading.

    Raises:
        ConfigError: the query is wrong, would write, or ran longer than `timeout_seconds`.
    """
    conn = open_to_read(memory.path)
    deadline = time.monotonic() + timeout_seconds
    try:
        conn.row_factory = None
        # A full-text index is set up at its first use, which the authorizer would refuse.
        for table in schema.FULL_TEXT:
            conn.execute(f"SELECT rowid FROM {table}_fts LIMIT 0")
        conn.set_authorizer(_authorize)
        conn.set_progress_handler(lambda: int(time.monotonic() > deadline), 10_000)
        cursor = conn.execute(query)
        rows = cursor.fetchmany(limit + 1)
        columns = tuple(column[0] for column in cursor.description or ())
    except (sqlite3.Error, sqlite3.Warning) as error:
        if isinstance(error, sqlite3.Error) and any(sign in str(error) for sign in DAMAGE):
            raise explain(error, memory.path) from error
        raise ConfigError(_why_refused(error, timeout_seconds)) from error
    finally:
        conn.close()
    return Table(columns=columns, rows=rows[:limit], truncated=len(rows) > limit)


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_PRAGMA:
        reads = first in _PRAGMAS_OF_A_TABLE or (first in _PRAGMAS_OF_THE_FILE and second is None)
        return sqlite3.SQLITE_OK if reads else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and second == "load_extension":
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _why_refused(error: Exception, timeout_seconds: float) -> str:
    text = str(error)
    if "not authorized" in text or "authorization denied" in text or "readonly" in text:
        return "this query would do more than read; only SELECT and the like are allowed on the memory"
    if "interrupted" in text:
        return f"the query ran longer than {timeout_seconds:g} s and was stopped: narrow it with WHERE or LIMIT"
    if "one statement" in text:
        return "give one SQL statement at a time"
    return f"SQLite does not accept the query: {text}"
