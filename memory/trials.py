"""Trials in the tables: each with its training curve and the sandboxed processes that it took."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from netwright.memory.connection import Connection, now
from netwright.memory.rows import NOT_ISOLATED, curve_row, insert, job_row, storable, trial_of, trial_row
from netwright.types import Trial, TrialStatus

_TRIALS = (
    "SELECT t.*, k.steps AS curve_steps, k.losses AS curve_losses FROM trials t LEFT JOIN curves k ON k.trial_id = t.id"
)
_KEY = ("candidate_id", "task_id", "rung", "seed", "split", "repeat", "rate")
_THIS = "candidate_id = ? AND task_id = ? AND rung = ? AND seed = ? AND split = ? AND repeat = ? AND rate = ?"
CUT_SHORT = (
    TrialStatus.COMPILE_TIMEOUT,
    TrialStatus.BUILD_TIMEOUT,
    TrialStatus.FIRST_STEP_TIMEOUT,
    TrialStatus.TIMEOUT,
    TrialStatus.TOO_MUCH_CPU,
    TrialStatus.OUT_OF_MEMORY,
    TrialStatus.TOO_MUCH_OUTPUT,
    TrialStatus.TOO_MANY_THREADS,
    TrialStatus.TOO_MANY_FILES,
    TrialStatus.STOPPED,
)
"""How trials end that another limit, a machine with less to do, or the patience of a search might have let finish."""


def put(conn: sqlite3.Connection, campaign_id: int | None, trial: Trial) -> None:
    """Keep a trial, inside the caller's transaction; the first result stays, unless it gives way to this one."""
    row = trial_row(trial)
    _put_aside(conn, campaign_id, {name: storable(value) for name, value in row.items()})
    trial_id = insert(conn, "trials", {"campaign_id": campaign_id, **row, "created_at": now()}, ignore=True)
    if trial_id is None:
        return
    if trial.curve:
        insert(conn, "curves", {"trial_id": trial_id, **curve_row(trial.curve)})
    for position, job in enumerate(trial.jobs):
        insert(conn, "jobs", {"trial_id": trial_id, "position": position, **job_row(job)})


def _put_aside(conn: sqlite3.Connection, campaign_id: int | None, new: dict[str, Any]) -> None:
    """Supersede the known result of the trial `new` where it was cut short, or was not isolated and `new` was."""
    key = tuple(new[name] for name in _KEY)
    old = conn.execute(f"SELECT * FROM trials WHERE {_THIS} AND superseded = 0", key).fetchone()
    if old is None or all(old[name] == value for name, value in {**new, "campaign_id": campaign_id}.items()):
        return
    isolated = old["tier"] == NOT_ISOLATED and new["tier"] not in ("", NOT_ISOLATED)
    if isolated or old["status"] in CUT_SHORT:
        conn.execute(
            f"UPDATE trials SET superseded = (SELECT max(superseded) + 1 FROM trials WHERE {_THIS}) WHERE id = ?",
            (*key, old["id"]),
        )


def find(connection: Connection, key: Sequence[Any], tier: str | None, campaign_id: int | None) -> Trial | None:
    """The trial of that candidate, task, rung, seed, split, repeat and rate; see Memory.trial."""
    where, parameters = f"{_THIS} AND superseded = 0", list(key)
    if tier is not None:
        # Its own failures a campaign finds as they were: it goes on exactly where it stood.
        where += f" AND (status NOT IN ({', '.join('?' * len(CUT_SHORT))}) OR campaign_id = ?)"
        parameters += [*CUT_SHORT, campaign_id]
    if tier not in (None, NOT_ISOLATED):
        where += f" AND tier <> '{NOT_ISOLATED}'"
    found = load(connection, where, parameters)
    return found[0] if found else None


def load(connection: Connection, where: str, parameters: Sequence[Any]) -> list[Trial]:
    """The trials (table `t`) for which the SQL condition `where` holds, oldest first."""
    # Processes last: a trial that another process just wrote is then seen with all of its own.
    found = connection.rows(f"{_TRIALS} WHERE {where} ORDER BY t.id", parameters)
    of_these = f"trial_id IN (SELECT t.id FROM trials t WHERE {where})"
    jobs: dict[int, list[sqlite3.Row]] = defaultdict(list)
    for row in connection.rows(f"SELECT * FROM jobs WHERE {of_these} ORDER BY trial_id, position", parameters):
        jobs[row["trial_id"]].append(row)
    return [trial_of(row, jobs.get(row["id"], ())) for row in found]
