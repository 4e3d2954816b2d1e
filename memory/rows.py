"""Rows of the memory as records, and records as rows."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from netwright.memory.records import ActionRecord, Campaign
from netwright.types import (
    SWEEP_SEEDS,
    Action,
    Audit,
    Candidate,
    GateReport,
    Interval,
    JobLog,
    JsonDict,
    LlmCall,
    Score,
    TaskSpec,
    Trial,
    Usage,
    Verdict,
)

SHORT = 10
"""Characters of a candidate's short id."""

SEARCHED = f"t.rate = 1.0 AND t.seed NOT BETWEEN {SWEEP_SEEDS[0]} AND {SWEEP_SEEDS[-1]}"
"""What belongs to no learning-rate sweep, and has no rate that one chose: a condition on trials `t`."""

RANKED = f"t.superseded = 0 AND t.repeat = 0 AND {SEARCHED}"
"""What designs are ranked by."""

NOT_ISOLATED = "T0"
"""The tier at which code runs with resource limits only, and could reach whatever measures it."""

OUTPUT_CHARACTERS = 16_384
"""How much of a trial's last output is kept: its end."""

CURVE_POINTS = 1_000
"""How many points of a training curve are kept, evenly spread; the last one always."""


def insert(conn: sqlite3.Connection, table: str, values: Mapping[str, Any], *, ignore: bool = False) -> int | None:
    """Insert one row and return its rowid; with `ignore`, None where a unique key is taken already."""
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    conflict = " ON CONFLICT DO NOTHING" if ignore else ""
    cursor = conn.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks}){conflict}", tuple(map(storable, values.values()))
    )
    return cursor.lastrowid if cursor.rowcount else None


def name_task(conn: sqlite3.Connection, task_id: str) -> None:
    """Make sure that `task_id` can be referred to; its specification comes with `Memory.put_task`."""
    name = task_id.rpartition("-")[0] or task_id
    insert(conn, "tasks", {"id": task_id, "name": name}, ignore=True)


def storable(value: Any) -> Any:
    """Replace what SQLite cannot hold: a reply may contain half of a surrogate pair, which is not UTF-8."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def to_json(value: Any) -> str:
    """Compact JSON; what a candidate claims may hold NaN or infinity, which JSON does not have: null."""
    return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def campaign_of(row: sqlite3.Row) -> Campaign:
    values = {
        **dict(row),
        "task": TaskSpec.model_validate_json(row["task"]),
        "config": json.loads(row["config"]),
    }
    del values["task_id"]
    return Campaign.model_validate(values)


def candidate_row(candidate: Candidate) -> JsonDict:
    return {
        "id": candidate.id,
        "short": candidate.id[:SHORT],
        "scope": candidate.scope.value,
        "title": candidate.title,
        "hypothesis": candidate.hypothesis,
        "origin": candidate.origin,
        "source": candidate.source,
        "genotype": candidate.genotype,
    }


def candidate_of(row: sqlite3.Row) -> Candidate:
    return Candidate(
        source=row["source"],
        scope=row["scope"],
        title=row["title"],
        hypothesis=row["hypothesis"],
        origin=row["origin"],
        genotype=row["genotype"],
    )


def gate_of(row: sqlite3.Row) -> GateReport:
    return GateReport(
        gate=row["gate"],
        passed=bool(row["passed"]),
        severity=row["severity"],
        message=row["message"],
        evidence=json.loads(row["evidence"]),
        seconds=row["seconds"],
    )


def trial_row(trial: Trial) -> JsonDict:
    usage = trial.usage.model_dump()
    return {
        "candidate_id": trial.candidate_id,
        "task_id": trial.task_id,
        "rung": trial.rung,
        "seed": trial.seed,
        "split": trial.split.value,
        "repeat": trial.repeat,
        "rate": trial.rate,
        "status": trial.status.value,
        "loss_nats": trial.loss_nats,
        "loss_standard_error": trial.loss_standard_error,
        "metrics": to_json({name: value for name, value in trial.metrics.items() if math.isfinite(value)}),
        "audit": None if trial.audit is None else trial.audit.model_dump_json(),
        "parameters": trial.parameters,
        "flops_per_token": trial.flops_per_token,
        "tokens": trial.tokens,
        "steps": trial.steps,
        **usage,
        "telemetry": to_json(trial.telemetry),
        "weights": trial.weights,
        "reason": trial.reason,
        "last_output": kept_output(trial.last_output),
    }


def trial_of(row: sqlite3.Row, jobs: Sequence[sqlite3.Row]) -> Trial:
    """A trial from its row joined with `curve_steps` and `curve_losses`, and the rows of its processes in order."""
    steps = json.loads(row["curve_steps"] or "[]")
    losses = json.loads(row["curve_losses"] or "[]")
    return Trial(
        **{name: row[name] for name in _TRIAL_COLUMNS},
        metrics=json.loads(row["metrics"]),
        audit=None if row["audit"] is None else Audit.model_validate_json(row["audit"]),
        usage=Usage(**{name: row[name] for name in Usage.model_fields}),
        telemetry=json.loads(row["telemetry"]),
        curve=tuple(zip(steps, losses, strict=True)),
        jobs=tuple(map(job_of, jobs)),
    )


_TRIAL_COLUMNS = tuple(set(Trial.model_fields) - {"metrics", "audit", "usage", "telemetry", "curve", "jobs"})


def job_row(job: JobLog) -> JsonDict:
    return {**job.model_dump(), "layers": to_json(job.layers), "stages": to_json(job.stages)}


def job_of(row: sqlite3.Row) -> JobLog:
    values = {name: row[name] for name in JobLog.model_fields}
    return JobLog.model_validate({**values, "layers": json.loads(row["layers"]), "stages": json.loads(row["stages"])})


def kept_output(text: str) -> str:
    """The end of `text`, with a note of what was cut."""
    cut = len(text) - OUTPUT_CHARACTERS
    return text if cut <= 0 else f"[the first {cut} characters were not kept]\n{text[cut:]}"


def curve_row(curve: tuple[tuple[int, float], ...]) -> JsonDict:
    """The curve's finite points, thinned to CURVE_POINTS, with six significant digits: it is advisory."""
    finite = [(step, loss) for step, loss in curve if math.isfinite(loss)]
    stride = max(1, -(-len(finite) // CURVE_POINTS))
    points = [*finite[:-1:stride], *finite[-1:]]
    return {
        "steps": to_json([step for step, _ in points]),
        "losses": to_json([float(f"{loss:.6g}") for _, loss in points]),
    }


def action_record_of(row: sqlite3.Row) -> ActionRecord:
    return ActionRecord(
        action=Action.model_validate_json(row["body"]),
        state=row["state"],
        candidate_id=row["candidate_id"],
        failure=row["failure"],
    )


def score_of(row: sqlite3.Row) -> Score:
    return Score(value=row["value"], standard_error=row["standard_error"], rung=row["rung"], seeds=row["seeds"])


def verdict_row(verdict: Verdict) -> JsonDict:
    interval = verdict.interval
    return {
        "outcome": verdict.outcome.value,
        "rival_id": verdict.rival_id,
        "delta_nats": verdict.delta_nats,
        "low_nats": None if interval is None else interval.low,
        "high_nats": None if interval is None else interval.high,
        "level": None if interval is None else interval.level,
        "p_value": verdict.p_value,
        "changed": verdict.changed,
        "words": verdict.words,
        "lesson": verdict.lesson,
        "author": verdict.author,
    }


def verdict_of(row: sqlite3.Row) -> Verdict:
    interval = (
        None if row["low_nats"] is None else Interval(low=row["low_nats"], high=row["high_nats"], level=row["level"])
    )
    return Verdict(
        outcome=row["outcome"],
        rival_id=row["rival_id"],
        delta_nats=row["delta_nats"],
        interval=interval,
        p_value=row["p_value"],
        changed=row["changed"],
        words=row["words"],
        lesson=row["lesson"],
        author=row["author"],
    )


def llm_row(call: LlmCall) -> JsonDict:
    return {**call.model_dump(exclude={"messages"}), "messages": to_json(call.messages)}


def llm_of(row: sqlite3.Row) -> LlmCall:
    values = {name: row[name] for name in LlmCall.model_fields}
    return LlmCall.model_validate({**values, "messages": json.loads(row["messages"])})
