"""A memory leaves as one file and comes back: whole into an empty home, merged with what is there, or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from netwright.errors import BusyError, ConfigError, DataError, NetwrightError, SchemaMismatch
from netwright.memory import Knowledge, Memory, archive, schema
from netwright.memory.importing import bring_in
from netwright.memory.kinship import sign
from netwright.memory.lessons import lessons
from netwright.memory.records import Opening, Review
from netwright.portrait import Portrait
from netwright.types import GateReport, JobLog, LlmCall, Share, Structure, TrialStatus, Verdict

NAMES = {
    "campaign_id": "SELECT name FROM campaigns WHERE id = ?",
    "trial_id": "SELECT candidate_id || rung || seed || coalesce(loss_nats, status) FROM trials WHERE id = ?",
    "lesson_id": "SELECT claim FROM lessons WHERE id = ?",
    "verdict_id": "SELECT campaign_id || node || created_at FROM verdicts WHERE id = ?",
}
LEFT_OUT = {"embedders", "vectors", "identities"}


def dump(home: Path) -> dict[str, list[str]]:
    """All that a memory holds, whatever numbers its rows have."""
    with Memory.open(home, read_only=True) as memory:
        rows = memory.connection.rows
        tables = rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%_fts%'")

        def said(row: sqlite3.Row) -> str:
            shown = {name: row[name] for name in row.keys() if name != "number"}
            shown |= {name: rows(sql, (row[name],))[0][0] for name, sql in NAMES.items() if shown.get(name)}
            if isinstance(shown.get("id"), int):
                del shown["id"]
            return json.dumps(shown)

        names = {row["name"] for row in tables} - LEFT_OUT
        return {name: sorted(said(row) for row in rows(f"SELECT * FROM {name}")) for name in sorted(names)}


def exported(home: Path, name: str = "memory.netwright", *, weights: bool = True) -> Path:
    file = home.parent / name
    file.unlink(missing_ok=True)
    archive.write(home, file, weights=weights, on_part=lambda part, size: None)
    return file


@contextmanager
def free(name: str):
    yield


def take(home: Path, file: Path, hold=free):
    return bring_in(home, file, hold=hold)


@pytest.fixture
def grow(task, make_candidate, make_trial, make_record):
    """Let campaign `name` of a home remember design `number`, with all that comes with it."""

    def grow(home: Path, number: int, name: str = "first", loss: float = 1.5) -> None:
        with Memory.open(home) as memory:
            known = {row.name: row for row in memory.campaigns()}
            campaign = known.get(name) or memory.start_campaign(name, task, 7, {"workers": 2})
            design = make_candidate(number)
            memory.put_candidate(design)
            reports = [GateReport(gate="shapes", passed=True), GateReport(gate="causality", passed=True)]
            memory.put_gates(design.id, task.id, reports, "T3")
            weights = memory.artifacts.put_weights(f"weights {number}".encode())
            jobs = (JobLog(purpose="train", cause="ok", tier="T3"), JobLog(purpose="rows", cause="ok", tier="T3"))
            memory.put_trial(campaign.id, make_trial(design, loss, weights=weights, jobs=jobs))
            verdict = Verdict(
                outcome="better", delta_nats=-0.1, words="It helped.", lesson=f"Depth {number % 2} helps."
            )
            parents = (-1,) if any(each.node == -1 for each in memory.experiments(campaign.id)) else ()
            memory.remember(campaign.id, make_record(number, design, loss, verdict=verdict, parents=parents))
            call = LlmCall(
                key=f"{number}", role="planner", model="m", prompt_sha256="0", messages=(), reply="yes", status="ok"
            )
            memory.put_llm_call(campaign.id, call)
            memory.put_structure(design.id, task.id, 1, Structure(numbers={"depth": float(number)}))
            memory.put_portrait(design.id, task.id, Portrait(function=f"{number:064x}"), "T3")
            memory.put_share(Share(candidate_id=design.id, task_id=task.id, factor=1.0, seconds=1.0, tier="T3"))
            memory.put_opening(campaign.id, Opening(task_id=task.id, rung=0, candidate_id=design.id, seeds=(1, 2)))
            review = Review(action=number, candidate_id=design.id, decision="approve")
            memory.put_review(campaign.id, review)
            memory.artifacts.put_candidate(name, design)

    return grow


@pytest.fixture
def here(home: Path, campaign, grow) -> Path:
    """A home with a campaign of three designs and a card."""
    for number in range(3):
        grow(home, number)
    with Memory.open(home) as memory:
        memory.put_knowledge(Knowledge(kind="hint", title="Gates", text="Gates help.", source="a book"))
    return home


def copy_of(home: Path, name: str) -> Path:
    there = home.parent / name
    take(there, exported(home))
    return there


def test_a_memory_comes_back_as_it_was_with_its_files(here, tmp_path):
    there = tmp_path / "there"

    imported = take(there, exported(here))

    assert dump(there) == dump(here)
    assert imported.has_moved and imported.merged.new == ["first"] and imported.merged.trials_new == 4
    files = sorted(path.relative_to(here) for path in (here / "artifacts").rglob("*.*"))
    assert files and files == sorted(path.relative_to(there) for path in (there / "artifacts").rglob("*.*"))
    with Memory.open(there, read_only=True) as memory, Memory.open(here, read_only=True) as source:
        assert memory.evaluation_key == source.evaluation_key
        assert memory.experiments(1) == source.experiments(1) and memory.trials() == source.trials()
        assert memory.actions(1) == source.actions(1) and lessons(memory) == lessons(source)
        assert memory.connection.rows("PRAGMA foreign_key_check") == []
        assert len(memory.connection.rows("SELECT 1 FROM candidates_fts WHERE candidates_fts MATCH 'design'")) == 3


def test_an_import_twice_is_an_import_once_and_goes_both_ways(here, grow):
    there = copy_of(here, "there")
    grow(here, 3)
    grow(there, 4, "second")

    take(there, exported(here))
    once = dump(there)
    again = take(there, exported(here))
    take(here, exported(there))

    assert dump(there) == once == dump(here)
    assert again.merged.known == ["first"] and not (again.merged.trials_new or again.merged.designs_new)
    assert again.merged.trials_known == 5 and again.artifacts == 0


def test_a_campaign_that_went_on_there_goes_on_here_and_not_back(here, grow):
    there = copy_of(here, "there")
    grow(there, 3)

    forth, back = take(here, exported(there)), take(there, exported(here))

    assert (forth.merged.continued, back.merged.known) == (["first"], ["first"])
    assert dump(here) == dump(there)


def test_a_campaign_that_went_on_both_here_and_there_is_kept_in_both_ways(here, grow):
    there = copy_of(here, "there")
    grow(here, 3)
    grow(there, 4)

    imported = take(here, exported(there))
    again = take(here, exported(there))
    back = take(there, exported(here))

    (name,) = imported.merged.apart
    assert name.startswith("first@") and sorted(again.merged.known) == [name] and len(back.merged.apart) == 1
    with Memory.open(here, read_only=True) as memory:
        ways = [[known.node for known in memory.experiments(memory.campaign(each).id)] for each in ("first", name)]
        assert ways == [[-1, 0, 1, 2, 3], [-1, 0, 1, 2, 4]]

    grow(there, 5)
    later = take(here, exported(there))
    assert later.merged.continued == [name] and take(here, exported(there)).merged.continued == []


def test_a_name_that_is_taken_by_another_campaign_is_told_apart(here, tmp_path, task):
    there = copy_of(here, "there")
    for home in (here, there):
        with Memory.open(home) as memory:
            memory.start_campaign("second", task, len(str(home)), {})

    (name,) = take(here, exported(there)).merged.new

    assert name.startswith("second@") and take(here, exported(there)).merged.known == ["first", name]


def test_another_result_of_a_trial_is_put_aside_and_known_again(here, make_candidate, make_trial):
    there = copy_of(here, "there")
    design = make_candidate(9)
    for home, loss in ((here, 1.4), (there, 1.3)):
        with Memory.open(home) as memory:
            memory.put_candidate(design)
            memory.put_trial(None, make_trial(design, loss))

    first, second = take(here, exported(there)), take(here, exported(there))

    assert (first.merged.trials_differing, second.merged.trials_differing) == (1, 0)
    with Memory.open(here, read_only=True) as memory:
        sql = "SELECT loss_nats, superseded FROM trials WHERE candidate_id = ? ORDER BY superseded"
        assert [tuple(row) for row in memory.connection.rows(sql, (design.id,))] == [(1.4, 0), (1.3, 1)]
        assert [trial.loss_nats for trial in memory.trials(candidate_id=design.id)] == [1.4]


def test_a_result_that_the_other_copy_put_aside_gives_way(here, make_candidate, make_trial):
    design = make_candidate(9)
    with Memory.open(here) as memory:
        memory.put_candidate(design)
        memory.put_trial(None, make_trial(design, None, status=TrialStatus.TIMEOUT, reason="slow"))
    there = copy_of(here, "there")
    with Memory.open(there) as memory:
        memory.put_trial(None, make_trial(design, 1.2))

    take(here, exported(there))

    assert dump(here) == dump(there)
    with Memory.open(here, read_only=True) as memory:
        assert [trial.loss_nats for trial in memory.trials(candidate_id=design.id)] == [1.2]


def test_results_under_another_key_compare_with_nothing_here_and_come_home_as_ours(here, grow, task, tmp_path):
    other = tmp_path / "other"
    grow(other, 1)
    grow(other, 7)

    imported = take(here, exported(other))
    again = take(here, exported(other))

    with Memory.open(here, read_only=True) as memory, Memory.open(other, read_only=True) as source:
        foreign = f"{task.id}@{sign(source.evaluation_key)}"
        (name,) = imported.merged.new
        assert not imported.merged.own_tasks and again.merged.known == [name]
        assert memory.campaign(name).task.id == foreign and memory.task(foreign).name == task.name
        assert len(memory.trials(foreign)) == 2 and len(memory.trials(task.id)) == 4
        assert {lesson.task_id for lesson in lessons(memory, task=task.name)} == {task.id, foreign}
        assert source.evaluation_key.hex() not in str(dump(here)) and memory.structures(foreign, 1)

    before = dump(other)
    assert take(other, exported(here)).merged.known == ["first"]
    with Memory.open(other, read_only=True) as memory:
        assert len(memory.trials(task.id)) == 2 and [row.name for row in memory.campaigns()][0] == "first"
    assert set(before["trials"]) <= set(dump(other)["trials"])


def test_weights_can_be_left_out(here, tmp_path):
    take(tmp_path / "there", exported(here, weights=False))

    assert not (tmp_path / "there" / "artifacts" / "weights").exists()
    assert list((tmp_path / "there" / "artifacts").rglob("*.py"))


def test_an_archive_can_be_read_by_its_owner_alone_and_replaces_nothing(here):
    file = exported(here)

    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError, match="exists already"):
        archive.write(here, file, weights=True, on_part=lambda name, size: None)
    assert [path.name for path in here.parent.glob(".exporting-*")] == []


def test_the_running_campaign_is_not_gone_on_with(here, grow):
    there = copy_of(here, "there")
    grow(there, 3)
    before = dump(here)

    def running(name: str):
        raise BusyError(f"{name} is running")

    with pytest.raises(BusyError, match="first is running"):
        take(here, exported(there), hold=running)
    assert dump(here) == before and not list(here.glob(".importing-*"))


# What anybody may have made


def rewritten(file: Path, change) -> Path:
    """The archive with `change(parts)` applied to its contents by name, and a manifest that fits."""
    with zipfile.ZipFile(file) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    manifest = json.loads(parts.pop("manifest.json"))
    parts = change(parts) or parts
    manifest["parts"] = {
        name: {"bytes": len(held), "sha256": hashlib.sha256(held).hexdigest()} for name, held in parts.items()
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, held in {**parts, "manifest.json": json.dumps(manifest).encode()}.items():
            packed.writestr(name, held)
    return file


def with_sql(*statements: str):
    """A change of the database in an archive."""

    def change(parts: dict[str, bytes]) -> None:
        with sqlite3.connect(":memory:") as conn:
            conn.deserialize(parts["memory.db"])
            conn.execute("PRAGMA writable_schema = ON")
            for statement in statements:
                conn.execute(statement)
            conn.commit()
            parts["memory.db"] = conn.serialize()

    return change


TAMPERED = {
    "a path that leads out": (lambda parts: parts.update({"artifacts/../../evil.py": b""}), "no name of a part"),
    "an absolute path": (lambda parts: parts.update({"/tmp/evil": b""}), "no name of a part"),
    "a pickle": (lambda parts: parts.update({"artifacts/weights/model.pt": b""}), "no name of a part"),
    "weights of another name": (
        lambda parts: parts.update({f"artifacts/weights/{'0' * 64}.safetensors": b"x"}),
        "is not what",
    ),
    "no database": (lambda parts: {"artifacts/a/b": b""}, "not those that its"),
    "text for a database": (lambda parts: {"memory.db": b"text" * 999}, "another program"),
    "a page overwritten": (
        lambda parts: {"memory.db": parts["memory.db"][:40_000] + b"\xff" * 8_000 + parts["memory.db"][48_000:]},
        "damaged|not as netwright|none that netwright",
    ),
    "another program's": (with_sql("PRAGMA application_id = 7"), "another program"),
    "a newer schema": (with_sql("PRAGMA user_version = 999"), "newer netwright"),
    "a source of another id": (with_sql("UPDATE candidates SET source = source || 'x'"), "a row of candidates"),
    "a name that is a path": (with_sql("UPDATE campaigns SET name = '../../x'"), "a row of campaigns"),
    "a status of its own": (with_sql("UPDATE trials SET status = 'great'"), "a row of trials"),
    "a table that is a view": (
        with_sql("DROP TABLE journal", "CREATE VIEW journal AS SELECT * FROM actions"),
        "'journal' is not as",
    ),
    "a key that is none": (with_sql("UPDATE meta SET value = 'x' WHERE key = 'evaluation_key'"), "evaluation key"),
    "a reference to nothing": (with_sql("DELETE FROM candidates"), "no memory of netwright can"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_file_that_was_tampered_with_is_refused_and_changes_nothing(what, here, tmp_path, grow):
    change, sentence = TAMPERED[what]
    there = tmp_path / "there"
    grow(there, 8)
    before, file = dump(there), rewritten(exported(here), change)

    with pytest.raises(NetwrightError, match=sentence) as refused:
        take(there, file)

    assert refused.value.exit_code == 2 and str(file) in str(refused.value)
    assert dump(there) == before and not (tmp_path / "evil.py").exists()
    assert not list(there.glob(".importing-*")) and len(list((there / "artifacts").rglob("*.*"))) == 2


def test_a_damaged_file_is_refused_and_makes_no_home(here, tmp_path):
    file = exported(here)
    whole = file.read_bytes()

    for damaged in (b"", whole[: len(whole) // 2], b"PK\x03\x04 nothing", whole.replace(b"weights 1", b"weights 2")):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=str(file)):
            take(tmp_path / "there", file)
    assert not (tmp_path / "there").exists()


def test_a_link_in_the_archive_is_refused(here, tmp_path):
    file = exported(here)
    with zipfile.ZipFile(file) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    with zipfile.ZipFile(file, "w") as packed:
        for name, held in parts.items():
            described = zipfile.ZipInfo(name)
            described.external_attr = (0o120777 if name.endswith(".safetensors") else 0o600) << 16
            packed.writestr(described, held)

    with pytest.raises(DataError, match="no plain file"):
        take(tmp_path / "there", file)


def test_an_archive_that_would_fill_the_disk_is_refused(here, tmp_path, monkeypatch):
    file, usage = exported(here), shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=archive.SPARE_BYTES))

    with pytest.raises(NetwrightError, match="MB left"):
        take(tmp_path / "there", file)
    assert not (tmp_path / "there").exists()


def test_a_trigger_in_the_archive_never_comes_over(here, tmp_path):
    file = rewritten(exported(here), with_sql("CREATE TRIGGER evil AFTER INSERT ON trials BEGIN DELETE FROM jobs; END"))

    take(tmp_path / "there", file)

    assert dump(tmp_path / "there") == dump(here)
    with Memory.open(tmp_path / "there", read_only=True) as memory:
        assert memory.connection.rows("SELECT 1 FROM sqlite_master WHERE name = 'evil'") == []


def test_a_newer_schema_in_the_manifest_is_refused(here, tmp_path, monkeypatch):
    file = exported(here)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION - 1)

    with pytest.raises(SchemaMismatch, match="newer netwright"):
        take(tmp_path / "there", file)


# Crashes

KILLED = """
import os, signal, sys
from contextlib import nullcontext
from pathlib import Path
from netwright.memory.importing import bring_in

steps = int(sys.argv[3])

def step(table):
    global steps
    steps -= 1
    if steps < 0:
        os.kill(os.getpid(), signal.SIGKILL)

bring_in(Path(sys.argv[1]), Path(sys.argv[2]), hold=lambda name: nullcontext(), on_step=step)
"""


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_all_or_nothing(here, tmp_path, grow):
    there, file = tmp_path / "there", exported(here)
    grow(there, 8)
    before, steps = dump(there), 0

    while True:
        command = [sys.executable, "-c", KILLED, str(there), str(file), str(steps)]
        if (code := subprocess.run(command, check=False).returncode) == 0:
            break
        assert code == -signal.SIGKILL
        after = dump(there)
        with Memory.open(there) as memory:
            assert memory.connection.row("PRAGMA integrity_check")[0] == "ok"
        if after != before:
            break
        steps += 1

    assert steps > 15
    take(there, file)
    assert set(before["trials"]) < set(dump(there)["trials"]) and not list(there.glob(".importing-*"))
