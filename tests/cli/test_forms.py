"""One result in three forms: text through the user's pager, one JSON document, or comma-separated values."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from netwright.cli.app import run
from netwright.cli.forms import csv_text

Ask = Callable[..., str]


@pytest.fixture
def ask(finished: Path, capfd: pytest.CaptureFixture[str]) -> Ask:
    def call(*arguments: object) -> str:
        assert run(["memory", *map(str, arguments), "--home", str(finished)]) == 0
        return capfd.readouterr().out

    return call


def in_a_terminal(*arguments: object, columns: int = 80, **environment: str) -> str:
    """What `netwright memory ...` writes to a terminal of that width."""
    screen, terminal = pty.openpty()
    known = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "PAGER")}
    process = subprocess.Popen(
        [sys.executable, "-m", "netwright", "memory", *map(str, arguments)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**known, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40", **environment},
    )
    os.close(terminal)
    written = b""
    while True:
        try:
            chunk = os.read(screen, 65536)
        except OSError:  # the terminal is gone with its last process
            break
        if not chunk:
            break
        written += chunk
    os.close(screen)
    assert process.wait(30) == 0
    return written.decode()


@pytest.mark.parametrize("command", ["top", "tree", "stats", "failures"])
def test_every_listing_has_the_same_records_as_csv_and_as_json(ask: Ask, command: str) -> None:
    document = json.loads(ask(command, "--json"))

    rows = list(csv.DictReader(io.StringIO(ask(command, "--csv"))))

    if command in ("top", "tree"):
        assert [row["candidate_id"] for row in rows] == [row["candidate_id"] or "" for row in document]
    elif command == "failures":
        assert len(rows) == sum(group["count"] for group in document)
    else:
        told = {row["field"]: row["value"] for row in rows}
        assert told["totals.experiments"] == str(document["totals"]["experiments"])


def test_the_two_forms_for_programs_exclude_one_another(finished: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["memory", "top", "--json", "--csv", "--home", str(finished)]) == 2
    assert "give one of them" in capfd.readouterr().err


def test_a_text_that_a_spreadsheet_would_compute_or_a_terminal_obey_is_neither() -> None:
    written = csv_text([{"title": "=1+1"}, {"title": "\x1b[2Jgone"}, {"title": "two\nlines"}, {"loss": -0.5}])

    rows = list(csv.DictReader(io.StringIO(written)))
    assert [row["title"] for row in rows] == ["'=1+1", "�[2Jgone", "two\nlines", ""]
    assert rows[-1]["loss"] == "-0.5"


def test_a_single_record_is_its_fields_and_values() -> None:
    assert csv_text({"a": {"b": [1, {"c": "d"}]}, "e": None}) == "field,value\na.b.0,1\na.b.1.c,d\ne,\n"


def test_stats_counts_what_every_operator_brought(ask: Ask) -> None:
    held = json.loads(ask("stats", "--json"))

    assert sum(row["made"] for row in held["designs"]) == held["totals"]["experiments"]
    assert {row["origin"] for row in held["designs"]} == {"grammar"}
    assert [row["name"] for row in held["campaigns"]] == ["small"]
    assert held["campaigns"][0]["training_hours"] == pytest.approx(held["totals"]["training_seconds"] / 3600)
    assert "hours" in ask("stats") and "draft" in ask("stats")


def test_a_difference_is_told_with_its_interval_and_within_noise_is_none(ask: Ask) -> None:
    first, second = (row["short"] for row in json.loads(ask("top", "--json"))[:2])

    itself = json.loads(ask("diff", first, first, "--json"))["measurements"]
    other = json.loads(ask("diff", first, second, "--json"))["measurements"]

    assert {row["outcome"] for row in itself} == {"no difference"}
    assert "none: within noise" in ask("diff", first, first) and "the sources are the same" in ask("diff", first, first)
    for row in other:
        decided = row["low_nats"] > 0 or row["high_nats"] < 0
        assert decided == (row["outcome"] in ("better", "worse"))


def test_a_terminal_has_the_users_pager_colours_and_no_line_that_is_too_long(finished: Path) -> None:
    pager = f"{sys.executable} -c 'import sys; print(\"PAGED\", len(sys.stdin.read()) > 100)'"

    paged = in_a_terminal("tree", "--home", finished, PAGER=pager)
    printed = in_a_terminal("tree", "--home", finished, "--no-pager", PAGER=pager, NO_COLOR="1")

    assert "PAGED True" in paged
    assert "PAGED" not in printed and "\x1b[3" not in printed.replace("\x1b[3m", "")
    plain = printed.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[2m", "")
    assert max(map(len, plain.split("\r\n"))) <= 80


def test_a_pager_that_cannot_be_started_loses_nothing(finished: Path) -> None:
    assert "\x1b[" in in_a_terminal("top", "--home", finished, PAGER="/no/such/pager")
