"""Cards: what ships is whole and agrees with the baselines; what users bring is checked with clear words."""

from __future__ import annotations

import ast
import os
import re
from importlib.resources import files
from pathlib import Path

import pytest

from netwright.errors import ConfigError
from netwright.evaluator.baselines import MIXERS
from netwright.prompts import prompt_names
from netwright.prompts.cards import Card, card_files, parsed, shipped_cards
from netwright.types import Scope

FOLDER = files("netwright.prompts") / "knowledge"
SLUGS = sorted(item.name.removesuffix(".md") for item in FOLDER.iterdir())
TOPICS = (
    "attention, linear attention, delta rule, gating and decay, state space, test-time memory, "
    "token-parameter attention, n-gram, convolution, hybrid, normalisation, residual, MLP, mixture of experts, "
    "position, recipe"
)
CARD = """+++
title = "Echo memory"
topic = "mine"
symptoms = ["nothing comes back"]
cost = "free"
citation = "Echo 2025, notes"
+++

## Mechanism

It answers
twice.

## Equation

    y_t = x_t
      + x_{t-1}

## When it helps

Rooms.

## When it fails

Fields.

## Cost

None.
"""


def shipped(slug: str) -> Card:
    return parsed((FOLDER / f"{slug}.md").read_text(encoding="utf-8"), slug)


def without_spaces(text: str) -> str:
    return "".join(text.split())


def test_at_least_64_cards_ship_with_titles_of_their_own_and_cover_every_topic() -> None:
    cards = shipped_cards()

    assert len(cards) == len({card.title for card in cards}) == len(SLUGS) >= 64
    assert {card.topic for card in cards} == set(TOPICS.split(", "))


@pytest.mark.parametrize("slug", SLUGS)
def test_a_shipped_card_is_short_and_cites_papers(slug: str) -> None:
    card = shipped(slug)

    body = " ".join((card.mechanism, card.equation, card.helps, card.fails, card.price))
    assert 90 <= len(body.split()) <= 160
    assert 3 <= len(card.symptoms) <= 5
    for work in card.citation.split("; "):
        assert re.fullmatch(r'[A-Za-z].+ (19|20)\d\d, ".+" \(.+\)', work), work
        assert all(re.fullmatch(r"\d{4}\.\d{4,5}", number) for number in re.findall(r"arXiv:([^)]*)", work))


def test_a_paper_is_cited_in_one_form() -> None:
    works = {work for card in shipped_cards() for work in card.citation.split("; ")}

    numbers = [number[1] for work in works if (number := re.search(r"arXiv:([\d.]+)", work))]
    assert len(numbers) > 80
    assert {number for number in numbers if numbers.count(number) > 1} == set()


@pytest.mark.parametrize("name", MIXERS)
def test_a_card_on_a_baseline_states_the_equations_of_its_docstring(name: str) -> None:
    (card,) = [card for card in shipped_cards() if card.baseline == name]
    source = (files("netwright.evaluator.baselines") / f"{name}.py").read_text(encoding="utf-8")
    docstring = without_spaces(ast.get_docstring(ast.parse(source)) or "")

    for line in card.equation.splitlines():
        assert without_spaces(line) in docstring, line


def test_a_card_is_no_prompt() -> None:
    assert not set(SLUGS) & set(prompt_names())


def test_a_card_of_ones_own_is_read_with_its_equation_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "echo.md"
    path.write_bytes(b"\xef\xbb\xbf" + CARD.replace("\n", "\r\n").encode())

    ((name, text, card),) = card_files([path, path])

    assert (name, parsed(text, "again")) == ("echo.md", card)
    assert (card.title, card.mechanism, card.scopes) == ("Echo memory", "It answers twice.", tuple(Scope))
    assert card.equation == "    y_t = x_t\n      + x_{t-1}"
    assert "Source: Echo 2025, notes" in card.text() and "nothing comes back" not in card.text()


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (CARD, "# Notes\n", "has no front matter: begin the file with a line +++, then title, topic"),
        ("topic =", "topic", "the front matter is not valid TOML (.*line 3.*): mend that line"),
        ('topic = "mine"\n', "", "topic: is missing: add it to the front matter"),
        ('"mine"', "3", "topic: is not a text: put it in quotes"),
        ('"mine"', '""', "topic: is empty: say it in a few words"),
        ('"mine"', '"a\\nb"', "topic: has several lines: put it into one"),
        ('["nothing comes back"]', '"nothing"', 'symptoms: is not a list: write it as ["...", "..."]'),
        ('["nothing comes back"]', "[]", "symptoms: is empty: name at least one"),
        ('["nothing comes back"]', '["x", 3]', "symptoms: is not a text: put it in quotes"),
        ("topic =", 'scopes = ["layer"]\ntopic =', "scopes: is none of 'mixer', 'block' or 'model'"),
        ("topic =", "colour = 1\ntopic =", "colour: unknown in a front matter: remove it; known are title"),
        ("topic =", '"## Cost" = "x"\ntopic =', "## Cost: unknown in a front matter"),
        ("## When it fails\n\nFields.\n", "", "## When it fails: is missing: add it to the file"),
        ("\nFields.\n", "", "## When it fails: is empty: say it in a few words"),
        ("Fields.", "x" * 1501, "## When it fails: has more than 1500 characters: shorten it"),
        ("## Cost", "## Price", "## Price: unknown section: rename it; a card has ## Mechanism"),
        ("## Cost", "## Mechanism", "## Mechanism: stands twice: join the two"),
        ("## Mechanism", "Hello.\n\n## Mechanism", "text before the first section: put it under '## Mechanism'"),
        ("Rooms.", "Rooms\u202e.", "holds a control or direction character"),
    ],
)
def test_what_is_wrong_with_a_card_is_said_with_file_field_and_remedy(
    tmp_path: Path, before: str, after: str, sentence: str
) -> None:
    path = tmp_path / "echo.md"
    path.write_text(CARD.replace(before, after, 1), encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        card_files([path])

    assert str(caught.value).startswith(f"{path}: ")
    expected = re.escape(sentence).replace(re.escape(".*"), ".*")
    assert re.search(expected, str(caught.value)), caught.value


def test_files_that_hold_no_card_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text(CARD)
    (tmp_path / "latin.md").write_bytes(CARD.replace("Rooms", "R\u00e4ume").encode("latin-1"))
    (tmp_path / "long.md").write_text(CARD + "x" * 20_000)
    os.mkfifo(tmp_path / "pipe.md")

    for name, sentence in (
        ("empty", "holds no card"),
        ("notes.txt", "no Markdown file"),
        ("gone.md", "no Markdown file"),
        ("pipe.md", "no Markdown file"),
        ("latin.md", "is not UTF-8"),
        ("long.md", "more than 16,384 bytes"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            card_files([tmp_path / name])


def test_two_cards_of_one_title_are_refused_together(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for path in (tmp_path / "a.md", tmp_path / "sub" / "b.md"):
        path.write_text(CARD)

    with pytest.raises(ConfigError, match=r"b.md: title: .*a.md has the title 'Echo memory' too: rename one"):
        card_files([tmp_path])
