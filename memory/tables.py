"""The tables of schema version 1, in an order in which every reference finds its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

Key = str | tuple[str, ...]
References = dict[Key, tuple[str, Key]]


def create_tables(db: Database) -> None:
    """Create every table of version 1, without full-text indexes and views."""
    for step in (_roots, _measurements, _search_log, _judgements, _records):
        step(db)


def _table(
    db: Database,
    name: str,
    required: dict[str, type],
    optional: dict[str, type] | None = None,
    *,
    pk: Key = "id",
    references: References | None = None,
    unique: tuple[str, ...] = (),
    indexes: tuple[tuple[str, ...], ...] = (),
) -> None:
    table = db.table(name)
    keys = [(column, *target) for column, target in (references or {}).items()]
    columns = {**required, **(optional or {})}
    table.create(columns, pk=pk, foreign_keys=keys, not_null=set(required), strict=True)
    if unique:
        table.create_index(unique, unique=True)
    for index in indexes:
        table.create_index(index)


def _roots(db: Database) -> None:
    _table(db, "meta", {"key": str, "value": str}, pk="key")
    _table(db, "tasks", {"id": str, "name": str}, {"metric": str, "spec": str})
    _table(
        db,
        "campaigns",
        {
            "id": int,
            "name": str,
            "task_id": str,
            "task": str,
            "seed": int,
            "config": str,
            "status": str,
            "started_at": str,
            "elapsed_seconds": float,
            "note": str,
        },
        {"finished_at": str},
        references={"task_id": ("tasks", "id")},
        unique=("name",),
    )
    _table(
        db,
        "candidates",
        {
            "number": int,
            "id": str,
            "short": str,
            "scope": str,
            "title": str,
            "hypothesis": str,
            "origin": str,
            "source": str,
            "created_at": str,
        },
        {"genotype": str},
        pk="number",
        unique=("id",),
    )
    _table(
        db,
        "knowledge",
        {"id": int, "kind": str, "title": str, "text": str, "source": str, "created_at": str},
        unique=("kind", "title", "source"),
    )


def _measurements(db: Database) -> None:
    tested: References = {"candidate_id": ("candidates", "id"), "task_id": ("tasks", "id")}
    _table(
        db,
        "gates",
        {
            "id": int,
            "candidate_id": str,
            "task_id": str,
            "gate": str,
            "occurrence": int,
            "passed": int,
            "severity": str,
            "message": str,
            "evidence": str,
            "seconds": float,
            "created_at": str,
        },
        references=tested,
        unique=("candidate_id", "task_id", "gate", "occurrence"),
    )
    _table(
        db,
        "trials",
        {
            "id": int,
            "candidate_id": str,
            "task_id": str,
            "rung": int,
            "seed": int,
            "split": str,
            "status": str,
            "metrics": str,
            "tokens": int,
            "steps": int,
            "wall_seconds": float,
            "cpu_seconds": float,
            "peak_memory_bytes": int,
            "scoring_seconds": float,
            "warm": int,
            "tier": str,
            "telemetry": str,
            "reason": str,
            "last_output": str,
            "created_at": str,
        },
        {
            "campaign_id": int,
            "loss_nats": float,
            "loss_standard_error": float,
            "audit": str,
            "parameters": int,
            "flops_per_token": float,
            "start_seconds": float,
            "weights": str,
        },
        references={**tested, "campaign_id": ("campaigns", "id")},
        unique=("candidate_id", "task_id", "rung", "seed", "split"),
        indexes=(("task_id", "split", "status"), ("campaign_id",)),
    )
    _table(
        db,
        "curves",
        {"trial_id": int, "steps": str, "losses": str},
        pk="trial_id",
        references={"trial_id": ("trials", "id")},
    )


def _search_log(db: Database) -> None:
    node_key: Key = ("campaign_id", "node")
    _table(
        db,
        "nodes",
        {
            "id": int,
            "campaign_id": int,
            "node": int,
            "operator": str,
            "rung": int,
            "stage": str,
            "failure": str,
            "seconds": float,
            "visits": int,
            "created_at": str,
        },
        {"candidate_id": str, "value": float},
        references={"campaign_id": ("campaigns", "id"), "candidate_id": ("candidates", "id")},
        unique=("campaign_id", "node"),
        indexes=(("candidate_id",),),
    )
    _table(
        db,
        "edges",
        {"campaign_id": int, "node": int, "position": int},
        {"parent_node": int, "parent_id": str},
        pk=("campaign_id", "node", "position"),
        references={
            node_key: ("nodes", node_key),
            ("campaign_id", "parent_node"): ("nodes", node_key),
            "parent_id": ("candidates", "id"),
        },
    )
    _table(
        db,
        "actions",
        {
            "campaign_id": int,
            "action": int,
            "kind": str,
            "parents": str,
            "rung": int,
            "body": str,
            "state": str,
            "stage": str,
            "failure": str,
            "asked_at": str,
        },
        {"operator": str, "node": int, "candidate_id": str, "done_at": str},
        pk=("campaign_id", "action"),
        references={
            "campaign_id": ("campaigns", "id"),
            node_key: ("nodes", node_key),
            "candidate_id": ("candidates", "id"),
        },
    )
    _table(
        db,
        "attempts",
        {
            "id": int,
            "campaign_id": int,
            "node": int,
            "position": int,
            "stage": str,
            "failure": str,
            "created_at": str,
        },
        {"candidate_id": str},
        references={node_key: ("nodes", node_key), "candidate_id": ("candidates", "id")},
        indexes=(("campaign_id", "node"),),
    )


def _judgements(db: Database) -> None:
    node_key: Key = ("campaign_id", "node")
    judged: References = {node_key: ("nodes", node_key), "candidate_id": ("candidates", "id")}
    _table(
        db,
        "scores",
        {
            "id": int,
            "campaign_id": int,
            "node": int,
            "candidate_id": str,
            "value": float,
            "standard_error": float,
            "rung": int,
            "seeds": int,
            "created_at": str,
        },
        references=judged,
        indexes=(("campaign_id", "node"), ("candidate_id",)),
    )
    _table(
        db,
        "verdicts",
        {
            "id": int,
            "campaign_id": int,
            "node": int,
            "candidate_id": str,
            "outcome": str,
            "changed": str,
            "words": str,
            "author": str,
            "created_at": str,
        },
        {
            "rival_id": str,
            "delta_nats": float,
            "low_nats": float,
            "high_nats": float,
            "level": float,
            "lesson": str,
        },
        references={**judged, "rival_id": ("candidates", "id")},
        indexes=(("campaign_id", "node"), ("candidate_id",)),
    )
    _table(
        db,
        "lessons",
        {"id": int, "task_id": str, "claim": str, "claim_key": str, "created_at": str},
        references={"task_id": ("tasks", "id")},
        unique=("task_id", "claim_key"),
    )
    _table(
        db,
        "evidence",
        {
            "id": int,
            "lesson_id": int,
            "verdict_id": int,
            "candidate_id": str,
            "supports": int,
            "created_at": str,
        },
        references={
            "lesson_id": ("lessons", "id"),
            "verdict_id": ("verdicts", "id"),
            "candidate_id": ("candidates", "id"),
        },
        unique=("lesson_id", "verdict_id"),
    )


def _records(db: Database) -> None:
    node_key: Key = ("campaign_id", "node")
    action_key: Key = ("campaign_id", "action")
    _table(
        db,
        "journal",
        {"id": int, "campaign_id": int, "node": int, "record": str, "at": str},
        {"action": int},
        references={
            "campaign_id": ("campaigns", "id"),
            action_key: ("actions", action_key),
            node_key: ("nodes", node_key),
        },
        indexes=(("campaign_id",),),
    )
    _table(
        db,
        "llm_calls",
        {
            "id": int,
            "key": str,
            "role": str,
            "model": str,
            "prompt_sha256": str,
            "messages": str,
            "status": str,
            "error": str,
            "tokens_estimated": int,
            "seconds": float,
            "created_at": str,
        },
        {"campaign_id": int, "reply": str, "prompt_tokens": int, "completion_tokens": int},
        references={"campaign_id": ("campaigns", "id")},
        indexes=(("key",), ("campaign_id",)),
    )
