"""`memory knowledge` shows and searches the cards, `memory import` adds one's own."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from netwright.cli.app import run
from netwright.prompts.cards import shipped_cards

CARD = (files("netwright.prompts") / "knowledge" / "copy-path.md").read_text(encoding="utf-8")
MINE = CARD.replace("Copy path (pointer)", "Zebra memory").replace("copying is poor", "zebras are poor")


@pytest.fixture
def ask(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """Run a command on an empty home: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = run([*map(str, arguments), "--home", str(tmp_path / "home")])
        return code, *capfd.readouterr()

    return call


def test_all_cards_are_listed_and_found_by_symptom_without_a_memory(ask: Any, tmp_path: Path) -> None:
    code, listed, _ = ask("memory", "knowledge")
    _, found, _ = ask("memory", "knowledge", "recall", "good,", "copying", "poor", "-n", 1)
    _, document, _ = ask("memory", "knowledge", "recall good, copying poor", "--json")

    assert code == 0 and all(card.topic in listed for card in shipped_cards())
    assert found.startswith("## Copy path (pointer)") and "g_t = sigmoid(w . [x_t, o_t])" in found
    assert [card["own"] for card in json.loads(document)] == [False] * 3
    assert not (tmp_path / "home").exists()


def test_an_unanswered_symptom_is_told(ask: Any) -> None:
    code, words, _ = ask("memory", "knowledge", "xylophone")

    assert code == 0 and "no card answers 'xylophone'" in words
    assert ask("memory", "knowledge", "xylophone", "--json")[1].strip() == "[]"


def test_cards_of_ones_own_are_imported_found_and_replaced(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "zebra.md").write_text(MINE)

    assert "Zebra memory: added" in ask("memory", "import", tmp_path / "cards")[1]
    assert "Zebra memory: is there already" in ask("memory", "import", tmp_path / "cards" / "zebra.md")[1]
    (tmp_path / "cards" / "zebra.md").write_text(MINE.replace("g_t = sigmoid", "z_t = sigmoid"))
    assert json.loads(ask("memory", "import", tmp_path / "cards", "--json")[1]) == [
        {"title": "Zebra memory", "outcome": "changed"}
    ]

    (found,) = json.loads(ask("memory", "knowledge", "zebras", "--json")[1])
    assert (found["title"], found["own"]) == ("Zebra memory", True) and "z_t" in found["equation"]
    assert "yours" in ask("memory", "knowledge")[1]
    assert "knowledge speaks of zebra" in ask("memory", "search", "zebra")[1]


def test_of_several_cards_none_is_kept_if_one_is_wrong(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(MINE)
    (tmp_path / "b.md").write_text(MINE.replace("## Cost", "## Price"))

    code, _, words = ask("memory", "import", tmp_path / "a.md", tmp_path / "b.md")

    assert code == 2 and f"{tmp_path / 'b.md'}: ## Price: unknown section" in words and "Traceback" not in words
    assert not (tmp_path / "home").exists()
