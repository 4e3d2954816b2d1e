import io
import json

import pytest
from rich.console import Console

from netwright.cli.output import table
from netwright.printable import printable, printable_json
from netwright.types import GateReport


@pytest.mark.parametrize("text", ["plain", "zwei\nZeilen\tmit Umlauten: äöü", "数学 😀 é"])
def test_ordinary_words_stay_as_they_are(text):
    assert printable(text) == text


@pytest.mark.parametrize("odd", ["\x1b", "\0", "\x07", "\r", "\x9b", "\u202e", "\u2066", "\u2028", "\ud800"])
def test_what_steers_a_terminal_turns_text_or_has_no_utf_8_is_replaced(odd):
    assert printable(f"a{odd}b") == "a\ufffdb"
    printable(odd).encode()


def test_evidence_that_a_candidate_made_up_is_still_json_that_anybody_can_read():
    nested: object = "bottom"
    for _ in range(400):
        nested = [nested]

    report = GateReport(gate="a\x1b", passed=True, evidence={"x\0": float("nan"), "deep": nested, "y": [1, "\ud800"]})

    assert report.gate == "a\ufffd"
    assert report.evidence["x\ufffd"] is None
    assert report.evidence["y"] == [1, "\ufffd"]
    assert len(json.dumps(report.evidence, allow_nan=False)) < 100
    assert printable_json({"a": {"b": 1.5}}) == {"a": {"b": 1.5}}


def test_a_table_for_the_terminal_shows_no_control_characters():
    console = Console(file=io.StringIO(), width=80)

    console.print(table(("source",), [("a\x1b[2Jb [bold]c[/]",)]))

    assert "a\ufffd[2Jb [bold]c[/]" in console.file.getvalue()
