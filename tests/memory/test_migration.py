"""A file that an older netwright wrote is brought forward, and everything in it stays."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database

from netwright.errors import SchemaMismatch
from netwright.memory import Memory, query, schema
from netwright.portrait import Portrait
from netwright.types import JobLog, Structure, TrialStatus

OLD_CONFIG = {"task": "recall", "workers": 2, "in_flight": 4, "accept_no_sandbox": True, "llm": {"url": None}}
TRIAL = {
    "task_id": "bytes-1",
    "rung": 0,
    "split": "validation",
    "metrics": "{}",
    "tokens": 1000,
    "steps": 10,
    "wall_seconds": 2.0,
    "cpu_seconds": 1.9,
    "peak_memory_bytes": 7,
    "scoring_seconds": 0.1,
    "warm": 1,
    "tier": "T2",
    "telemetry": "{}",
    "last_output": "",
    "created_at": "2025-01-01",
}


@pytest.fixture
def old_home(home: Path, task, make_candidate) -> Path:
    """A home whose memory was made by the first migration alone, with a campaign, a trial that is done and one not."""
    home.mkdir()
    with sqlite3.connect(home / "memory.db") as conn:
        schema.MIGRATIONS[0](Database(conn))
        conn.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        conn.execute("PRAGMA user_version = 1")
        old = Database(conn)
        old["meta"].insert_all([{"key": "evaluation_key", "value": "ab" * 32}, {"key": "created_at", "value": "2025"}])
        old["tasks"].insert({"id": "bytes-1", "name": "bytes"})
        campaign = {"id": 1, "name": "first", "task_id": "bytes-1", "task": task.model_dump_json(), "seed": 7}
        campaign |= {"config": json.dumps(OLD_CONFIG), "status": "interrupted", "started_at": "2025-01-01"}
        old["campaigns"].insert(campaign | {"elapsed_seconds": 3.0, "note": ""})
        known = make_candidate(0)
        fields = {name: getattr(known, name) for name in ("id", "title", "hypothesis", "origin", "source")}
        old["candidates"].insert({**fields, "short": known.id[:10], "scope": "mixer", "created_at": "2025-01-01"})
        trial = {**TRIAL, "candidate_id": known.id, "campaign_id": 1}
        old["trials"].insert(trial | {"id": 1, "seed": 0, "status": "done", "loss_nats": 1.25, "reason": ""})
        old["trials"].insert(trial | {"id": 2, "seed": 1, "status": "crashed", "reason": "broke"})
        old["curves"].insert({"trial_id": 1, "steps": "[1,10]", "losses": "[5.5,1.75]"})
    conn.close()
    return home


def test_a_memory_of_version_1_opens_with_everything_it_held(old_home, make_candidate):
    with Memory.open(old_home, create=False) as memory:
        done, crashed = memory.trials(candidate_id=make_candidate(0).id)
        first = memory.campaign("first")

        assert memory.connection.row("PRAGMA user_version")[0] == schema.VERSION
        assert memory.evaluation_key == b"\xab" * 32
        assert (done.loss_nats, done.curve, done.jobs, done.repeat) == (1.25, ((1, 5.5), (10, 1.75)), (), 0)
        assert (crashed.status, crashed.reason) == (TrialStatus.CRASHED, "broke")
        assert (first.config, first.seed, first.elapsed_seconds) == (OLD_CONFIG, 7, 3.0)
        assert [(row.loss_nats, row.tier, row.not_isolated) for row in query.top(memory)] == [(1.25, "T2", False)]


def test_a_memory_of_version_1_takes_what_came_later(old_home, make_candidate, make_trial):
    design, job = make_candidate(1), JobLog(purpose="train", cause="ok", tier="T3")

    with Memory.open(old_home, create=False) as memory:
        memory.put_candidate(design)
        memory.put_trial(1, make_trial(design, jobs=(job,)))
        memory.put_trial(1, make_trial(design, repeat=1))

        memory.put_structure(design.id, "bytes-1", 1, Structure(numbers={"depth": 3.0}))
        memory.put_portrait(design.id, "bytes-1", Portrait(function="ab" * 32), "T3")

        assert memory.structures("bytes-1", 1)[design.id].numbers == {"depth": 3.0}
        assert memory.portrait(design.id, "bytes-1") == Portrait(function="ab" * 32)
        assert [trial.jobs for trial in memory.trials(candidate_id=design.id)] == [(job,)]
        assert len(memory.trials(candidate_id=design.id, everything=True)) == 2


def test_what_was_scored_on_the_locked_split_before_looks_were_counted_is_one_look(old_home, make_candidate):
    with sqlite3.connect(old_home / "memory.db") as conn:
        done = {**TRIAL, "candidate_id": make_candidate(0).id, "split": "test", "status": "done", "reason": ""}
        Database(conn)["trials"].insert_all([done | {"id": 10 + seed, "seed": seed} for seed in (1001, 1000)])
    conn.close()

    with Memory.open(old_home, create=False) as memory:
        (look,) = memory.openings("bytes-1")

    assert (look.candidate_id, look.rung, look.rate, look.seeds) == (make_candidate(0).id, 0, 1.0, (1000, 1001))


def test_a_memory_brought_forward_is_like_a_new_one(old_home, tmp_path):
    def things(home: Path) -> set[tuple[str, str, str]]:
        with Memory.open(home) as memory:
            rows = memory.connection.rows("SELECT type, name, sql FROM sqlite_master WHERE name <> 'trials'")
            return {tuple(row) for row in rows}

    assert things(old_home) == things(tmp_path / "new")


def test_opening_twice_migrates_once(old_home):
    Memory.open(old_home).close()

    with Memory.open(old_home) as memory:
        assert len(memory.trials()) == 2


def test_a_reader_of_version_1_is_told_what_brings_it_forward(old_home):
    with pytest.raises(SchemaMismatch, match="netwright memory upgrade"):
        Memory.open(old_home, create=False, read_only=True)

    Memory.open(old_home, create=False).close()

    Memory.open(old_home, create=False, read_only=True).close()
