"""The experiment memory: what campaigns write and everybody reads.

One file, HOME/memory.db. Every write is one transaction, safe against kill -9 at any moment and against other
writers; every `put` may be repeated, a second time changes nothing. Nothing is ever deleted. An instance may
be shared by threads. Times are UTC; losses are nats.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from netwright.errors import NotFound, StoreError
from netwright.measures import Measures
from netwright.memory import experiments, gates, measures, shares, trials, vectors
from netwright.memory.artifacts import Artifacts
from netwright.memory.connection import Connection, now, open_memory
from netwright.memory.designs import Designs
from netwright.memory.filters import Catalogue
from netwright.memory.learning import Learning
from netwright.memory.records import (
    ActionRecord,
    Campaign,
    CampaignStatus,
    Experiment,
    ExperimentRecord,
)
from netwright.memory.rows import (
    NOT_ISOLATED,
    RANKED,
    action_record_of,
    campaign_of,
    candidate_of,
    candidate_row,
    insert,
    name_task,
    to_json,
)
from netwright.memory.vectors import Shelf
from netwright.types import (
    Action,
    Candidate,
    GateReport,
    JsonDict,
    Share,
    Split,
    TaskSpec,
    Trial,
    TrialStatus,
)

__all__ = ["Campaign", "Memory"]

logger = logging.getLogger(__name__)


class Standing(Protocol):
    """How a search policy sees one node."""

    @property
    def visits(self) -> int: ...

    @property
    def value(self) -> float | None: ...


class Memory(Learning, Designs):
    """An open experiment memory.

    Raises:
        StoreError: from any method, when the file cannot be read or written.
    """

    def __init__(self, home: Path, connection: Connection) -> None:
        self.home = home
        self.connection = connection
        self.artifacts = Artifacts(home)
        self.catalogue = Catalogue(connection)
        self._shelves: dict[str, Shelf] = {}

    @classmethod
    def open(
        cls,
        home: Path,
        *,
        create: bool = True,
        read_only: bool = False,
        evaluation_key: bytes | None = None,
    ) -> Memory:
        """Open HOME/memory.db, making it where `create` allows; `read_only` never makes or changes it.

        `evaluation_key` becomes the key of a memory made by this call (default: 32 random bytes).

        Raises:
            NotFound: there is none and none is to be made.
            SchemaMismatch: the file is another program's, or a newer netwright's.
            StoreError: it cannot be read or written, or has another evaluation key than the one given.
        """
        connection = open_memory(home, create=create, read_only=read_only, evaluation_key=evaluation_key)
        memory = cls(home, connection)
        if evaluation_key is not None and memory.evaluation_key != evaluation_key:
            memory.close()
            raise StoreError(
                f"{connection.path} has its own evaluation key, results under another one would not compare: "
                "omit the key, or choose another --home"
            )
        return memory

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The database file."""
        return self.connection.path

    @property
    def evaluation_key(self) -> bytes:
        """The secret from which held-out data is drawn; candidates never see it."""
        row = self.connection.row("SELECT value FROM meta WHERE key = 'evaluation_key'")
        if row is None:
            raise StoreError(f"{self.path} has lost its evaluation key: put a copy of the file in its place")
        return bytes.fromhex(row["value"])

    def shelf(self, model: str) -> Shelf:
        """The vectors that a model made of what is in this memory, as they are now."""
        shelf = self._shelves.setdefault(model, Shelf(self.connection, model))
        shelf.refresh()
        return shelf

    # Campaigns and tasks

    def put_task(self, task: TaskSpec) -> None:
        """Keep what a task is, under its id."""
        with self.connection.write() as conn:
            conn.execute(
                "INSERT INTO tasks (id, name, metric, spec) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET metric = excluded.metric, spec = excluded.spec "
                "WHERE spec IS NOT excluded.spec",
                (task.id, task.name, task.metric, task.model_dump_json()),
            )

    def task(self, task_id: str) -> TaskSpec:
        """What the task of that id is.

        Raises:
            NotFound: nothing was trained on it.
        """
        row = self.connection.row("SELECT spec FROM tasks WHERE id = ?", (task_id,))
        if row is None:
            raise NotFound(f"the memory knows no task {task_id!r}: `netwright memory sql 'SELECT id FROM tasks'`")
        return TaskSpec.model_validate_json(row["spec"])

    def start_campaign(self, name: str, task: TaskSpec, seed: int, config: JsonDict) -> Campaign:
        """Begin a campaign.

        Raises:
            StoreError: the name is taken.
        """
        self.put_task(task)
        values = {
            "name": name,
            "task_id": task.id,
            "task": task.model_dump_json(),
            "seed": seed,
            "config": to_json(config),
            "status": "running",
            "started_at": now(),
            "elapsed_seconds": 0.0,
            "note": "",
        }
        with self.connection.write() as conn:
            if insert(conn, "campaigns", values, ignore=True) is None:
                raise StoreError(f"a campaign named {name!r} exists already: resume it, or choose another name")
        logger.info("campaign started name=%s task=%s seed=%d", name, task.id, seed)
        return self.campaign(name)

    def campaign(self, name: str | None = None) -> Campaign:
        """The campaign of that name, or the one started last.

        Raises:
            NotFound: there is none; the message lists the known names.
        """
        where = "WHERE name = ?" if name is not None else "ORDER BY started_at DESC, id DESC LIMIT 1"
        row = self.connection.row(f"SELECT * FROM campaigns {where}", (name,) if name is not None else ())
        if row is not None:
            return campaign_of(row)
        known = ", ".join(campaign.name for campaign in self.campaigns())
        if known:
            raise NotFound(f"there is no campaign {name!r}; known: {known}")
        raise NotFound(f"{self.path} holds no campaign yet: start one with `netwright run`")

    def campaigns(self) -> list[Campaign]:
        """All campaigns, in the order in which they were started."""
        return [campaign_of(row) for row in self.connection.rows("SELECT * FROM campaigns ORDER BY id")]

    def update_campaign(
        self,
        campaign_id: int,
        *,
        status: CampaignStatus | None = None,
        elapsed_seconds: float | None = None,
        note: str | None = None,
        config: JsonDict | None = None,
    ) -> Campaign:
        """Change what is given. Any status but `running` marks the time at which the campaign stopped."""
        stored = None if config is None else to_json(config)
        with self.connection.write() as conn:
            conn.execute(
                "UPDATE campaigns SET status = coalesce(?1, status), note = coalesce(?3, note), "
                "elapsed_seconds = coalesce(?2, elapsed_seconds), config = coalesce(?6, config), "
                "finished_at = CASE WHEN ?1 IS NULL THEN finished_at WHEN ?1 <> 'running' THEN ?4 END "
                "WHERE id = ?5",
                (status, elapsed_seconds, note, now(), campaign_id, stored),
            )
            row = conn.execute("SELECT * FROM campaigns WHERE id = ?", (campaign_id,)).fetchone()
        if row is None:
            raise NotFound(f"there is no campaign number {campaign_id} in {self.path}")
        return campaign_of(row)

    # Candidates, gates, trials

    def put_candidate(self, candidate: Candidate) -> None:
        """Keep a candidate; the title and origin under which a source came first stay."""
        with self.connection.write() as conn:
            insert(conn, "candidates", {**candidate_row(candidate), "created_at": now()}, ignore=True)

    def candidate(self, prefix: str) -> Candidate:
        """The candidate with this id, or with the only id that begins so.

        Raises:
            NotFound: none or several fit; the message says which.
        """
        # A range, not LIKE: it uses the index, and no character of the prefix has a meaning.
        found = self.connection.rows(
            "SELECT * FROM candidates WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id LIMIT 6",
            (prefix.lower(),),
        )
        if not prefix or not found:
            raise NotFound(f"no candidate has an id that begins with {prefix!r}: `netwright memory top` lists ids")
        if len(found) > 1:
            fitting = ", ".join(f"{row['short']} ({row['title']})" for row in found[:5])
            more = ", ..." if len(found) > 5 else ""
            raise NotFound(f"several candidates begin with {prefix!r}: {fitting}{more}; give more characters")
        return candidate_of(found[0])

    def put_gates(self, candidate_id: str, task_id: str, reports: Sequence[GateReport], tier: str = "") -> None:
        """Keep the reports of a check made at `tier`; of a gate that was reported before, the first report stays.

        Earlier reports give way where they rejected and these say something else, or where only these were isolated.
        """
        with self.connection.write() as conn:
            name_task(conn, task_id)
            gates.put(conn, candidate_id, task_id, reports, tier)

    def gates(self, candidate_id: str, task_id: str, *, tier: str | None = None) -> tuple[GateReport, ...]:
        """The gate reports in the order in which they were put; empty if it was never checked.

        With the `tier` that is in force now, empty also if it was not isolated when it was checked and is now.
        """
        return gates.load(self.connection, candidate_id, task_id, tier)

    def put_share(self, share: Share) -> Share:
        """Keep what a candidate trains on, and return what counts: the first, unless it alone was not isolated."""
        with self.connection.write() as conn:
            name_task(conn, share.task_id)
            shares.put(conn, share)
        return self.share(share.candidate_id, share.task_id) or share

    def share(self, candidate_id: str, task_id: str, *, tier: str | None = None) -> Share | None:
        """What the candidate trains on, if it was measured.

        With the `tier` that is in force now, None also if it was not isolated meanwhile and would be now.
        """
        return shares.find(self.connection, candidate_id, task_id, tier)

    def put_trial(self, campaign_id: int | None, trial: Trial) -> None:
        """Keep a trial; `campaign_id` is None outside campaigns.

        The first result of a trial stays, unless it was cut short (at a limit, or as hopeless), or was not isolated
        and this one was: then it is put aside, and this one counts.

        Raises:
            ValueError: the trial was interrupted; such a trial says nothing and is run again.
        """
        if trial.status is TrialStatus.INTERRUPTED:
            raise ValueError("an interrupted trial has no result to keep: run it again")
        with self.connection.write() as conn:
            name_task(conn, trial.task_id)
            trials.put(conn, campaign_id, trial)

    def trial(
        self,
        candidate_id: str,
        task_id: str,
        rung: int,
        seed: int,
        split: Split = Split.VALIDATION,
        *,
        repeat: int = 0,
        rate: float = 1.0,
        tier: str | None = None,
        campaign_id: int | None = None,
    ) -> Trial | None:
        """The trial with `rate` times its learning rate, or its repetition number `repeat`, if it was run.

        With the `tier` that is in force now, None also if it is to be run again: it was not isolated and would be now,
        or it was cut short and it was not the campaign `campaign_id` that ran it.
        """
        key = (candidate_id, task_id, rung, seed, split, repeat, rate)
        return trials.find(self.connection, key, tier, campaign_id)

    def trials(
        self,
        task_id: str | None = None,
        candidate_id: str | None = None,
        split: Split | None = None,
        rung: int | None = None,
        *,
        everything: bool = False,
        tier: str | None = None,
    ) -> list[Trial]:
        """The trials that fit all that is given, oldest first.

        Repetitions, and trials of learning-rate sweeps and with the rates that these chose, are not what designs are
        ranked by: they come only with `everything`.

        With the `tier` that is in force now, only those that it lets count: what was not isolated does not under one
        that isolates.
        """
        given = {"task_id": task_id, "candidate_id": candidate_id, "split": split, "rung": rung}
        chosen = {name: value for name, value in given.items() if value is not None}
        rules = ["t.superseded = 0" if everything else RANKED]
        rules += [] if tier in (None, NOT_ISOLATED) else [f"t.tier <> '{NOT_ISOLATED}'"]
        where = " AND ".join([*(f"t.{name} = ?" for name in chosen), *rules])
        return trials.load(self.connection, where, tuple(chosen.values()))

    def put_measures(self, found: Measures) -> None:
        """Keep what was measured of a candidate in use; earlier measures stay, the latest on a machine count."""
        with self.connection.write() as conn:
            name_task(conn, found.task_id)
            measures.put(conn, found)

    def measures(
        self, task_id: str | None = None, candidate_id: str | None = None, machine: str | None = None
    ) -> list[Measures]:
        """The latest measures of each candidate, task and machine that fit all that is given, oldest first."""
        given = {"task_id": task_id, "candidate_id": candidate_id, "machine": machine}
        return measures.load(self.connection, {name: value for name, value in given.items() if value is not None})

    # The search and its experiments

    def put_action(self, campaign_id: int, action: Action) -> None:
        """Log what the search asked for."""
        with self.connection.write() as conn:
            experiments.put_action(conn, campaign_id, action)

    def actions(self, campaign_id: int) -> list[ActionRecord]:
        """All actions of a campaign, by index."""
        sql = "SELECT * FROM actions WHERE campaign_id = ? ORDER BY action"
        return [action_record_of(row) for row in self.connection.rows(sql, (campaign_id,))]

    def remember(self, campaign_id: int, record: ExperimentRecord) -> bool:
        """Write an experiment in one transaction: node, attempts, score, verdict, lesson, closed action.

        A promotion appends score and verdict to the node it belongs to; the latest count. False: it was there
        already and nothing was written.
        """
        with self.connection.write() as conn:
            is_new = experiments.remember(conn, campaign_id, record)
            vectors.fill_own(conn)
            return is_new

    def experiments(self, campaign_id: int, node: int | None = None) -> list[Experiment]:
        """Every record of a campaign, or of a node of it, in the order of remembering, each with its candidate.

        A node that was promoted appears once for its first training and once for each promotion.
        """
        return experiments.load(self.connection, campaign_id, node)

    def put_node_statistics(self, campaign_id: int, statistics: Mapping[int, Standing]) -> None:
        """Set the visits and value of nodes, as the search sees them now."""
        with self.connection.write() as conn:
            conn.executemany(
                "UPDATE nodes SET visits = ?1, value = ?2 WHERE campaign_id = ?3 AND node = ?4 "
                "AND (visits IS NOT ?1 OR value IS NOT ?2)",
                [(known.visits, known.value, campaign_id, node) for node, known in statistics.items()],
            )
