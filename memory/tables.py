"""The tables of each schema version, in an order in which every reference finds its target.

Columns are written as `name type`, a `?` after the type allows NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

Key = str | tuple[str, ...]
References = dict[Key, tuple[str, Key]]

NODE: Key = ("campaign_id", "node")
ACTION: Key = ("campaign_id", "action")
TO_CAMPAIGN: References = {"campaign_id": ("campaigns", "id")}
TO_CANDIDATE: References = {"candidate_id": ("candidates", "id")}
TO_TASK: References = {"task_id": ("tasks", "id")}
TO_NODE: References = {NODE: ("nodes", NODE)}
TYPES: dict[str, type] = {"int": int, "str": str, "float": float, "blob": bytes}


def create_tables(db: Database) -> None:
    """Create every table of version 1, without full-text indexes and views."""
    for step in (_roots, _measurements, _search_log, _judgements, _records):
        step(db)


def create_jobs(db: Database) -> None:
    """Add what version 2 has beyond version 1.

    A row for each process of a trial, repetitions of trials, the tier of gate reports, and results that were put aside.
    """
    _table(
        db,
        "jobs",
        "id int, trial_id int, position int, purpose str, cause str, reason str, exit_code int?, tier str, "
        "layers str, policy str, warm int, start_seconds float, wall_seconds float, cpu_seconds float, "
        "kill_seconds float?, peak_memory_bytes int, stages str, bytes_in int, bytes_out int, left_behind int",
        references={"trial_id": ("trials", "id")},
        unique=("trial_id", "position"),
    )
    db.execute("ALTER TABLE trials ADD COLUMN repeat INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE gates ADD COLUMN tier TEXT NOT NULL DEFAULT ''")
    for name, key, more in (
        ("trials", ("candidate_id", "task_id", "rung", "seed", "split"), ("repeat",)),
        ("gates", ("candidate_id", "task_id", "gate", "occurrence"), ()),
    ):
        db.execute(f"ALTER TABLE {name} ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0")
        db.execute(f"DROP INDEX idx_{name}_{'_'.join(key)}")
        db.table(name).create_index((*key, *more, "superseded"), unique=True)


def create_openings(db: Database) -> None:
    """Add what confirmations need: the learning rate of a trial, a p value per verdict, looks at the locked split.

    What a memory holds of the locked split already counts as one look per candidate and rung.
    """
    key = ("candidate_id", "task_id", "rung", "seed", "split", "repeat", "superseded")
    db.execute("ALTER TABLE trials ADD COLUMN rate REAL NOT NULL DEFAULT 1.0")
    db.execute(f"DROP INDEX idx_trials_{'_'.join(key)}")
    db.table("trials").create_index((*key[:-1], "rate", "superseded"), unique=True)
    db.execute("ALTER TABLE verdicts ADD COLUMN p_value REAL")
    _table(
        db,
        "openings",
        "id int, campaign_id int?, task_id str, rung int, candidate_id str, rate float, seeds str, opened_at str",
        references={**TO_CANDIDATE, **TO_TASK, **TO_CAMPAIGN},
        unique=("candidate_id", "task_id", "rung", "rate", "seeds"),
        indexes=(("task_id",),),
    )
    db.execute(
        "INSERT INTO openings (campaign_id, task_id, rung, candidate_id, rate, seeds, opened_at) "
        "SELECT min(campaign_id), task_id, rung, candidate_id, 1.0, json_group_array(DISTINCT seed), min(created_at) "
        "FROM (SELECT * FROM trials WHERE split = 'test' ORDER BY seed) GROUP BY task_id, rung, candidate_id"
    )


def create_measures(db: Database) -> None:
    """Add what a candidate costs in use, measured in its own process; a later row on the same machine counts."""
    _table(
        db,
        "measures",
        "id int, candidate_id str, task_id str, machine str, tier str, batch_rows int, inference str, states str, "
        "problems str, wall_seconds float, peak_memory_bytes int, created_at str",
        references={**TO_CANDIDATE, **TO_TASK},
        indexes=(("candidate_id", "task_id", "machine"),),
    )


def create_shares(db: Database) -> None:
    """Add how much of a rung's tokens each candidate trains on, where budgets are equal in FLOPs or in time."""
    _table(
        db,
        "shares",
        "id int, candidate_id str, task_id str, factor float, seconds float, operations float?, tier str, "
        "created_at str",
        references={**TO_CANDIDATE, **TO_TASK},
        unique=("candidate_id", "task_id"),
    )


def create_portraits(db: Database) -> None:
    """Add what designs are made of, what their processes showed of them, and proposals that had been tried."""
    _table(
        db,
        "structures",
        "id int, candidate_id str, task_id str, version int, body str, created_at str",
        references={**TO_CANDIDATE, **TO_TASK},
        unique=("candidate_id", "task_id"),
    )
    _table(
        db,
        "portraits",
        "id int, candidate_id str, task_id str, function str?, trace str?, tier str, created_at str",
        references={**TO_CANDIDATE, **TO_TASK},
        unique=("candidate_id", "task_id"),
        indexes=(("task_id", "function"),),
    )
    _table(
        db,
        "duplicates",
        "id int, campaign_id int, action int, candidate_id str, kind str, owner int, created_at str",
        references={**TO_CAMPAIGN, ACTION: ("actions", ACTION), **TO_CANDIDATE},
        unique=("campaign_id", "action", "candidate_id", "kind"),
    )


def create_call_occasions(db: Database) -> None:
    """Add what a call to a model was for, and whether its reply is that of another campaign's call."""
    db.execute("ALTER TABLE llm_calls ADD COLUMN action INTEGER")
    db.execute("ALTER TABLE llm_calls ADD COLUMN tag TEXT NOT NULL DEFAULT ''")
    db.execute("ALTER TABLE llm_calls ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0")
    db.table("llm_calls").create_index(("campaign_id", "action"))


def count_prefixes(db: Database) -> None:
    """Calls say how much of their prompts had been said before, by our own count and by the server's."""
    for name in ("prefix_tokens", "cached_tokens"):
        db.execute(f"ALTER TABLE llm_calls ADD COLUMN {name} INTEGER")


def retire_lessons(db: Database) -> None:
    """Lessons say why they stand no longer; empty while they do."""
    db.execute("ALTER TABLE lessons ADD COLUMN retired TEXT NOT NULL DEFAULT ''")


def create_reviews(db: Database) -> None:
    """Add what persons decided about designs before these were trained."""
    _table(
        db,
        "reviews",
        "id int, campaign_id int, action int, candidate_id str, position int, decision str, note str, "
        "edited_id str?, created_at str",
        references={**TO_CAMPAIGN, ACTION: ("actions", ACTION), **TO_CANDIDATE, "edited_id": ("candidates", "id")},
        unique=("campaign_id", "action", "candidate_id", "position"),
    )


def create_vectors(db: Database) -> None:
    """Add vectors of texts, one by each model that makes some, and the full text of lessons.

    A vector is to be made where its `stamp` is 0 or below: for what is new, and again where more is said of it. The
    triggers see to it, in the transaction of whoever writes.
    """
    _table(
        db,
        "embedders",
        "id int, name str, dimensions int?, created_at str",
        unique=("name",),
    )
    _table(
        db,
        "vectors",
        "id int, embedder_id int, candidate int?, knowledge_id int?, stamp int, vector blob?",
        references={
            "embedder_id": ("embedders", "id"),
            "candidate": ("candidates", "number"),
            "knowledge_id": ("knowledge", "id"),
        },
        indexes=(("embedder_id", "stamp"), ("candidate",)),
    )
    for name, column, key in (("candidates", "candidate", "number"), ("knowledge", "knowledge_id", "id")):
        db.execute(
            f"CREATE TRIGGER {name}_to_embed AFTER INSERT ON {name} BEGIN "
            f"INSERT INTO vectors (embedder_id, {column}, stamp) SELECT id, new.{key}, 0 FROM embedders; END"
        )
        db.execute(
            f"CREATE TRIGGER embedders_take_{name} AFTER INSERT ON embedders BEGIN "
            f"INSERT INTO vectors (embedder_id, {column}, stamp) SELECT new.id, {key}, 0 FROM {name}; END"
        )
    stale = (
        "UPDATE vectors SET stamp = min(stamp, 0) - 1 "
        "WHERE candidate = (SELECT number FROM candidates WHERE id = new.candidate_id)"
    )
    for name, event in (("verdicts", "INSERT"), ("structures", "INSERT"), ("structures", "UPDATE")):
        db.execute(f"CREATE TRIGGER {name}_{event.lower()}_to_embed AFTER {event} ON {name} BEGIN {stale}; END")
    db.execute(
        "INSERT INTO embedders (name, dimensions, created_at) VALUES "
        "('words and structure 1', 384, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
    )
    db.table("lessons").enable_fts(("claim",), tokenize="porter unicode61", create_triggers=True)


def create_identities(db: Database) -> None:
    """Add which campaign one that came from another memory is, whatever it is called here."""
    _table(db, "identities", "campaign_id int, identity str", pk="campaign_id", references=TO_CAMPAIGN)


def _table(
    db: Database,
    name: str,
    columns: str,
    *,
    pk: Key = "id",
    references: References | None = None,
    unique: tuple[str, ...] = (),
    indexes: tuple[tuple[str, ...], ...] = (),
) -> None:
    typed = dict(column.split() for column in columns.split(","))
    table = db.table(name)
    table.create(
        {column: TYPES[kind.rstrip("?")] for column, kind in typed.items()},
        pk=pk,
        foreign_keys=[(column, *target) for column, target in (references or {}).items()],
        not_null={column for column, kind in typed.items() if not kind.endswith("?")},
        strict=True,
    )
    if unique:
        table.create_index(unique, unique=True)
    for index in indexes:
        table.create_index(index)


def _roots(db: Database) -> None:
    _table(
        db,
        "meta",
        "key str, value str",
        pk="key",
    )
    _table(
        db,
        "tasks",
        "id str, name str, metric str?, spec str?",
    )
    _table(
        db,
        "campaigns",
        "id int, name str, task_id str, task str, seed int, config str, status str, started_at str, "
        "finished_at str?, elapsed_seconds float, note str",
        references=TO_TASK,
        unique=("name",),
    )
    _table(
        db,
        "candidates",
        "number int, id str, short str, scope str, title str, hypothesis str, origin str, source str, "
        "genotype str?, created_at str",
        pk="number",
        unique=("id",),
    )
    _table(
        db,
        "knowledge",
        "id int, kind str, title str, text str, source str, created_at str",
        unique=("kind", "title", "source"),
    )


def _measurements(db: Database) -> None:
    _table(
        db,
        "gates",
        "id int, candidate_id str, task_id str, gate str, occurrence int, passed int, severity str, "
        "message str, evidence str, seconds float, created_at str",
        references={**TO_CANDIDATE, **TO_TASK},
        unique=("candidate_id", "task_id", "gate", "occurrence"),
    )
    _table(
        db,
        "trials",
        "id int, campaign_id int?, candidate_id str, task_id str, rung int, seed int, split str, "
        "status str, loss_nats float?, loss_standard_error float?, metrics str, audit str?, "
        "parameters int?, flops_per_token float?, tokens int, steps int, wall_seconds float, "
        "cpu_seconds float, peak_memory_bytes int, start_seconds float?, scoring_seconds float, "
        "warm int, tier str, telemetry str, weights str?, reason str, last_output str, created_at str",
        references={**TO_CANDIDATE, **TO_TASK, **TO_CAMPAIGN},
        unique=("candidate_id", "task_id", "rung", "seed", "split"),
        indexes=(("task_id", "split", "status"), ("campaign_id",)),
    )
    _table(
        db,
        "curves",
        "trial_id int, steps str, losses str",
        pk="trial_id",
        references={"trial_id": ("trials", "id")},
    )


def _search_log(db: Database) -> None:
    _table(
        db,
        "nodes",
        "id int, campaign_id int, node int, operator str, candidate_id str?, rung int, stage str, "
        "failure str, seconds float, visits int, value float?, created_at str",
        references={**TO_CAMPAIGN, **TO_CANDIDATE},
        unique=("campaign_id", "node"),
        indexes=(("candidate_id",),),
    )
    _table(
        db,
        "edges",
        "campaign_id int, node int, position int, parent_node int?, parent_id str?",
        pk=("campaign_id", "node", "position"),
        references={**TO_NODE, ("campaign_id", "parent_node"): ("nodes", NODE), "parent_id": ("candidates", "id")},
    )
    _table(
        db,
        "actions",
        "campaign_id int, action int, kind str, operator str?, parents str, rung int, body str, "
        "state str, node int?, candidate_id str?, stage str, failure str, asked_at str, done_at str?",
        pk=("campaign_id", "action"),
        references={**TO_CAMPAIGN, **TO_NODE, **TO_CANDIDATE},
    )
    _table(
        db,
        "attempts",
        "id int, campaign_id int, node int, position int, candidate_id str?, stage str, failure str, created_at str",
        references={**TO_NODE, **TO_CANDIDATE},
        indexes=(("campaign_id", "node"),),
    )


def _judgements(db: Database) -> None:
    _table(
        db,
        "scores",
        "id int, campaign_id int, node int, candidate_id str, value float, standard_error float, "
        "rung int, seeds int, created_at str",
        references={**TO_NODE, **TO_CANDIDATE},
        indexes=(("campaign_id", "node"), ("candidate_id",)),
    )
    _table(
        db,
        "verdicts",
        "id int, campaign_id int, node int, candidate_id str, outcome str, rival_id str?, "
        "delta_nats float?, low_nats float?, high_nats float?, level float?, changed str, words str, "
        "lesson str?, author str, created_at str",
        references={**TO_NODE, **TO_CANDIDATE, "rival_id": ("candidates", "id")},
        indexes=(("campaign_id", "node"), ("candidate_id",)),
    )
    _table(
        db,
        "lessons",
        "id int, task_id str, claim str, claim_key str, created_at str",
        references=TO_TASK,
        unique=("task_id", "claim_key"),
    )
    _table(
        db,
        "evidence",
        "id int, lesson_id int, verdict_id int, candidate_id str, supports int, created_at str",
        references={"lesson_id": ("lessons", "id"), "verdict_id": ("verdicts", "id"), **TO_CANDIDATE},
        unique=("lesson_id", "verdict_id"),
    )


def _records(db: Database) -> None:
    _table(
        db,
        "journal",
        "id int, campaign_id int, action int?, node int, record str, at str",
        references={**TO_CAMPAIGN, ACTION: ("actions", ACTION), **TO_NODE},
        indexes=(("campaign_id",),),
    )
    _table(
        db,
        "llm_calls",
        "id int, campaign_id int?, key str, role str, model str, prompt_sha256 str, messages str, "
        "reply str?, status str, error str, prompt_tokens int?, completion_tokens int?, "
        "tokens_estimated int, seconds float, created_at str",
        references=TO_CAMPAIGN,
        indexes=(("key",), ("campaign_id",)),
    )
