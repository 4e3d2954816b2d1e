"""`memory export` and `memory import` between the homes of a real campaign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netwright.cli.app import run
from netwright.memory import Memory


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a command: exit code, stdout, stderr."""

    def call(home: Path, *arguments: object) -> tuple[int, str, str]:
        code = run([*map(str, arguments), "--home", str(home)])
        return code, *capfd.readouterr()

    return call


@pytest.fixture
def file(finished: Path, tmp_path: Path, call: Any) -> Path:
    path = tmp_path / "small.netwright"
    code, said, _ = call(finished, "memory", "export", path)
    assert code == 0 and "1 campaign, " in said and "Keep it private" in said
    return path


def test_a_campaign_moves_to_another_machine_and_is_all_there(finished: Path, file: Path, tmp_path: Path, call: Any):
    there = tmp_path / "there"

    code, said, _ = call(there, "memory", "import", file)
    again = json.loads(call(there, "memory", "import", file, "--json")[1])

    assert code == 0 and "campaign small: new" in said and "netwright resume" in said
    assert again["known"] == ["small"] and not (again["trials_new"] or again["designs_new"] or again["artifacts"])
    for shown in (("memory", "top"), ("memory", "tree"), ("memory", "failures"), ("memory", "lessons")):
        assert call(there, *shown, "--json")[:2] == call(finished, *shown, "--json")[:2]


@pytest.mark.slow
def test_a_campaign_that_moved_goes_on_there_and_comes_back(finished: Path, file: Path, tmp_path: Path, call: Any):
    there, home = tmp_path / "there", tmp_path / "home"
    for each in (there, home):
        assert call(each, "memory", "import", file)[0] == 0

    assert call(there, "resume", "small", "--trials", 6)[0] == 0
    assert call(there, "memory", "export", tmp_path / "longer.netwright")[0] == 0
    _, said, _ = call(home, "memory", "import", tmp_path / "longer.netwright")

    assert "campaign small: gone on with" in said
    assert call(home, "memory", "tree", "--json") == call(there, "memory", "tree", "--json")
    assert call(home, "memory", "top", "--json")[1] == call(there, "memory", "top", "--json")[1]


def test_a_campaign_with_another_key_is_looked_at_here_and_resumed_at_home(file: Path, tmp_path: Path, call: Any):
    other = tmp_path / "other"
    with Memory.open(other) as memory, memory.connection.write() as conn:
        conn.execute("INSERT INTO tasks (id, name) VALUES ('bytes-1', 'bytes')")

    code, said, _ = call(other, "memory", "import", file)
    refusals = [call(other, *command) for command in (("resume", "small"), ("confirm",), ("measure",))]

    assert code == 0 and "compare with none" in said
    assert all(code == 2 and "in its own home" in words for code, _, words in refusals)
    assert "@" in json.loads(call(other, "status", "small", "--json")[1])["task"]


def test_a_memory_and_cards_are_imported_one_after_the_other(file: Path, tmp_path: Path, call: Any):
    code, _, said = call(tmp_path / "there", "memory", "import", file, tmp_path)

    assert code == 2 and "import it alone" in said and not (tmp_path / "there").exists()


def test_what_is_no_export_is_said(tmp_path: Path, call: Any):
    (tmp_path / "mine.netwright").write_text("hello")

    missing = call(tmp_path / "there", "memory", "import", tmp_path / "none.netwright")
    wrong = call(tmp_path / "there", "memory", "import", tmp_path / "mine.netwright")
    nothing = call(tmp_path / "there", "memory", "export", tmp_path / "new.netwright")

    assert [code for code, _, _ in (missing, wrong, nothing)] == [2, 2, 2]
    assert "there is no file" in missing[2] and "is damaged, or not a file of" in wrong[2] and "no memory" in nothing[2]
