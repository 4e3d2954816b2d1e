from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from netwright.errors import NetwrightError, NotFound, SchemaMismatch, StoreError
from netwright.memory import Memory, schema
from netwright.memory.connection import open_to_read
from netwright.sandbox import kernel
from netwright.types import GateReport

FORK = multiprocessing.get_context("fork")


def test_a_memory_has_its_own_secret_key_and_keeps_it(home):
    with Memory.open(home) as memory:
        key = memory.evaluation_key

    assert len(key) == 32
    with Memory.open(home) as memory:
        assert memory.evaluation_key == key
    with Memory.open(home.parent / "other") as other:
        assert other.evaluation_key != key


def test_a_given_key_is_used_and_another_one_is_refused(home):
    with Memory.open(home, evaluation_key=b"k" * 32) as memory:
        assert memory.evaluation_key == b"k" * 32

    with pytest.raises(StoreError, match="has its own evaluation key"):
        Memory.open(home, evaluation_key=b"x" * 32)


def test_the_file_is_marked_and_safe_settings_are_on(memory):
    def pragma(name: str) -> object:
        return memory.connection.rows(f"PRAGMA {name}")[0][0]

    assert pragma("application_id") == schema.APPLICATION_ID
    assert pragma("user_version") == schema.VERSION
    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 1
    assert pragma("foreign_keys") == 1
    assert pragma("busy_timeout") == 30_000


def test_every_table_of_the_design_is_there_and_strict(memory):
    names = {row["name"]: row for row in memory.connection.rows("PRAGMA table_list")}
    tables = "campaigns candidates gates trials curves scores verdicts lessons evidence nodes llm_calls knowledge"

    assert set(tables.split()) | {"meta", "actions", "journal", "tasks", "edges", "attempts"} <= set(names)
    assert all(names[table]["strict"] for table in tables.split())
    assert {name for name, row in names.items() if row["type"] == "view"} == {
        "leaderboard",
        "lineage",
        "failures",
        "pareto",
    }


def test_opening_to_read_makes_nothing(home):
    for options in ({"read_only": True}, {"create": False}):
        with pytest.raises(NotFound, match="there is no memory in"):
            Memory.open(home, **options)

    assert not home.exists()


def test_an_empty_file_is_no_memory_to_read_and_a_new_one_to_write(home):
    home.mkdir()
    (home / "memory.db").touch()

    with pytest.raises(NotFound, match="is empty"):
        Memory.open(home, read_only=True)
    with Memory.open(home) as memory:
        assert memory.campaigns() == []


def test_a_reader_sees_what_is_there_and_cannot_write(home, task):
    with Memory.open(home) as memory:
        memory.start_campaign("first", task, 7, {})
    before = (home / "memory.db").read_bytes()

    with Memory.open(home, read_only=True) as reader:
        assert reader.campaign().name == "first"
        with pytest.raises(StoreError, match="opened for reading only"):
            reader.update_campaign(1, status="finished")

    assert (home / "memory.db").read_bytes() == before


def test_a_database_of_another_program_is_refused_and_left_as_it_was(home):
    home.mkdir()
    path = home / "memory.db"
    with sqlite3.connect(path) as conn:
        conn.execute("CREATE TABLE notes (text TEXT)")
    conn.close()
    before = path.read_bytes()

    for read_only in (True, False):
        with pytest.raises(SchemaMismatch, match="is a database of another program"):
            Memory.open(home, read_only=read_only)

    assert path.read_bytes() == before
    assert [each.name for each in home.iterdir()] == ["memory.db"]


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(home):
    home.mkdir()
    path = home / "memory.db"
    path.write_bytes(b"Dear diary, " * 1000)

    for read_only in (True, False):
        with pytest.raises(SchemaMismatch, match="is not an SQLite database"):
            Memory.open(home, read_only=read_only)

    assert path.read_bytes() == b"Dear diary, " * 1000


def test_a_newer_schema_is_refused(home):
    with Memory.open(home) as memory:
        memory.connection.rows(f"PRAGMA user_version = {schema.VERSION + 1}")

    with pytest.raises(SchemaMismatch, match=f"schema {schema.VERSION + 1}; this one knows {schema.VERSION}"):
        Memory.open(home)


def test_a_damaged_file_is_called_damaged(home, task):
    with Memory.open(home) as memory:
        memory.start_campaign("first", task, 7, {})
    path = home / "memory.db"
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)

    with pytest.raises(StoreError, match="is damaged"), Memory.open(home, read_only=True) as memory:
        memory.campaigns()


def test_a_home_inside_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="choose another --home"):
        Memory.open(tmp_path / "file" / "home")


def test_a_full_disk_is_one_sentence_and_half_of_nothing(memory, task, make_candidate):
    memory.put_candidate(make_candidate(0))
    pages = memory.connection.rows("PRAGMA page_count")[0][0]
    memory.connection.rows(f"PRAGMA max_page_count = {pages}")
    reports = [GateReport(gate=f"g{n}", passed=True, message="m" * 500) for n in range(500)]

    with pytest.raises(StoreError, match="memory.db cannot grow: the disk is full"):
        memory.put_gates(make_candidate(0).id, task.id, reports)

    assert memory.gates(make_candidate(0).id, task.id) == ()
    memory.connection.rows("PRAGMA max_page_count = 1000000")
    memory.put_gates(make_candidate(0).id, task.id, reports)
    assert len(memory.gates(make_candidate(0).id, task.id)) == 500


def _as_nobody(home: Path, read_only: bool, queue) -> None:
    if os.geteuid() == 0:
        kernel.drop_capabilities()  # what makes root more than the owner of its files
    try:
        with Memory.open(home, read_only=read_only) as memory:
            queue.put(f"opened: {memory.campaign().name}")
    except NetwrightError as error:
        queue.put(f"{type(error).__name__}: {error}")


def _tell_as_nobody(home: Path, *, read_only: bool) -> str:
    queue = FORK.SimpleQueue()
    child = FORK.Process(target=_as_nobody, args=(home, read_only, queue))
    child.start()
    child.join(20)
    assert child.exitcode == 0
    return queue.get()


@pytest.fixture
def locked_home(tmp_path_factory, task):
    """A memory in a directory in which nobody may write; open for everybody to read."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with Memory.open(home) as memory:
            memory.start_campaign("first", task, 7, {})
        (home / "memory.db").chmod(0o444)
        home.chmod(0o555)
        Path(folder).chmod(0o755)
        yield home
        home.chmod(0o755)


def test_a_read_only_home_can_be_read(locked_home):
    assert _tell_as_nobody(locked_home, read_only=True) == "opened: first"


def test_a_read_only_home_cannot_be_written_and_says_so(locked_home):
    told = _tell_as_nobody(locked_home, read_only=False)

    assert told.startswith(f"StoreError: {locked_home}/memory.db cannot be written")


def test_a_home_that_cannot_be_made_says_so(locked_home):
    told = _tell_as_nobody(locked_home / "inner", read_only=False)

    assert told.startswith(f"StoreError: {locked_home}/inner cannot be made: Permission denied")


def _write_until_killed(home: Path, task, make_candidate, make_trial, make_record) -> None:
    with Memory.open(home) as memory:
        names = {each.name for each in memory.campaigns()}
        started = memory.campaign("c") if "c" in names else memory.start_campaign("c", task, 1, {})
        memory.put_candidate(make_candidate(-1))
        first = make_record(-1, make_candidate(-1), action=None, parents=())
        memory.remember(started.id, first)
        index = len(memory.actions(started.id))
        while True:
            candidate = make_candidate(index)
            memory.put_action(started.id, make_record(index, candidate).action)
            memory.put_candidate(candidate)
            memory.put_trial(started.id, make_trial(candidate))
            memory.remember(started.id, make_record(index, candidate))
            index += 1


def _assert_nothing_half(home: Path) -> int:
    with Memory.open(home) as memory:
        rows = memory.connection.rows
        assert rows("PRAGMA integrity_check")[0][0] == "ok"
        assert rows("PRAGMA foreign_key_check") == []
        if not memory.campaigns():
            return 0
        campaign = memory.campaign()
        found = [each for each in memory.experiments(campaign.id) if each.action is not None]
        done = [each for each in memory.actions(campaign.id) if each.state == "done"]
        nodes = rows("SELECT count(*) FROM nodes WHERE node >= 0")[0][0]
        scores = rows("SELECT count(*) FROM scores WHERE node >= 0")[0][0]
        assert len(found) == len(done) == nodes == scores
        rows("INSERT INTO candidates_fts(candidates_fts) VALUES ('integrity-check')")
        made = rows("SELECT count(*), sum(stamp > 0), sum(length(vector)) FROM vectors")[0]
        assert made[0] == rows("SELECT count(*) FROM candidates")[0][0]
        assert made[2] == 768 * made[1]
        return len(found)


def test_a_writer_killed_at_twenty_random_moments_leaves_whole_experiments(
    home, task, make_candidate, make_trial, make_record
):
    import random

    rng, seen = random.Random(0), 0
    for _ in range(20):
        arguments = (home, task, make_candidate, make_trial, make_record)
        child = FORK.Process(target=_write_until_killed, args=arguments)
        child.start()
        time.sleep(rng.uniform(0.0, 0.25))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        if (home / "memory.db").exists():
            now = _assert_nothing_half(home)
            assert now >= seen
            seen = now

    assert seen > 0


def _read_for(home: Path, seconds: float, queue) -> None:
    answers, end = [], time.monotonic() + seconds
    with Memory.open(home, read_only=True) as memory:
        while time.monotonic() < end or answers[-1] == answers[0]:
            # Both in one statement: a reader sees a moment of the file, never a half-written experiment.
            row = memory.connection.rows(
                "SELECT (SELECT count(*) FROM nodes WHERE node >= 0), "
                "(SELECT count(*) FROM actions WHERE state = 'done')"
            )[0]
            answers.append((row[0], row[1]))
    queue.put((answers[0][0], answers[-1][0], all(a == b for a, b in answers)))


def test_two_readers_see_whole_experiments_while_a_writer_writes(home, task, make_candidate, make_trial, make_record):
    Memory.open(home).close()
    queue = FORK.SimpleQueue()
    arguments = (home, task, make_candidate, make_trial, make_record)
    writer = FORK.Process(target=_write_until_killed, args=arguments)
    readers = [FORK.Process(target=_read_for, args=(home, 2.0, queue)) for _ in range(2)]
    for process in (writer, *readers):
        process.start()

    answers = [queue.get() for _ in readers]

    for process in readers:
        process.join()
    assert writer.is_alive()
    writer.kill()
    writer.join()
    for first, last, whole in answers:
        assert last > first
        assert whole


def _create(home: Path, queue) -> None:
    with Memory.open(home) as memory:
        queue.put(memory.evaluation_key)


def test_processes_that_make_the_same_memory_at_once_agree_on_its_key(home):
    queue = FORK.SimpleQueue()
    children = [FORK.Process(target=_create, args=(home, queue)) for _ in range(6)]
    for child in children:
        child.start()

    keys = {queue.get() for _ in children}

    for child in children:
        child.join()
    assert len(keys) == 1


def test_a_connection_to_read_refuses_to_write(home):
    Memory.open(home).close()
    conn = open_to_read(home / "memory.db")

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        conn.execute("DELETE FROM meta")
    conn.close()
