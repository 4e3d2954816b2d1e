"""Trials in the tables: each with its training curve and the sandboxed processes that it took."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from netwright.memory.connection import Connection, now
from netwright.memory.rows import curve_row, insert, job_row, trial_of, trial_row
from netwright.types import Trial

_TRIALS = (
    "SELECT t.*, k.steps AS curve_steps, k.losses AS curve_losses FROM trials t LEFT JOIN curves k ON k.trial_id = t.id"
)


def put(conn: sqlite3.Connection, campaign_id: int | None, trial: Trial) -> None:
    """Keep a trial, inside the caller's transaction; the first result of a trial stays."""
    values = {"campaign_id": campaign_id, **trial_row(trial), "created_at": now()}
    trial_id = insert(conn, "trials", values, ignore=True)
    if trial_id is None:
        return
    if trial.curve:
        insert(conn, "curves", {"trial_id": trial_id, **curve_row(trial.curve)})
    for position, job in enumerate(trial.jobs):
        insert(conn, "jobs", {"trial_id": trial_id, "position": position, **job_row(job)})


def load(connection: Connection, where: str, parameters: Sequence[Any]) -> list[Trial]:
    """The trials (table `t`) for which the SQL condition `where` holds, oldest first."""
    # Processes last: a trial that another process just wrote is then seen with all of its own.
    found = connection.rows(f"{_TRIALS} WHERE {where} ORDER BY t.id", parameters)
    of_these = f"trial_id IN (SELECT t.id FROM trials t WHERE {where})"
    jobs: dict[int, list[sqlite3.Row]] = defaultdict(list)
    for row in connection.rows(f"SELECT * FROM jobs WHERE {of_these} ORDER BY trial_id, position", parameters):
        jobs[row["trial_id"]].append(row)
    return [trial_of(row, jobs.get(row["id"], ())) for row in found]
