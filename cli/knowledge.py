"""What `memory knowledge` and `memory import` print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from netwright.cli.forms import Form, print_document
from netwright.cli.output import out, print_json, say, table
from netwright.memory.cards import CardIndex, own_cards, put_cards
from netwright.memory.connection import FILE_NAME
from netwright.memory.store import Memory
from netwright.prompts.cards import Card, card_files, shipped_cards

SHOWN = 3
_WORDS = {"new": "added", "changed": "replaced the earlier one of this title", "known": "is there already"}


def print_knowledge(home: Path, query: str, *, limit: int | None, form: Form) -> None:
    """The cards that answer `query`, whole; without one, all of them in a list. It needs no memory."""
    own = _own(home)
    index = CardIndex([*shipped_cards(), *own])
    cards = index.search(query, limit=limit or SHOWN) if query.strip() else list(index.cards[:limit])
    mine = {card.title for card in own}
    if form is not Form.TEXT:
        print_document([{**card.model_dump(mode="json"), "own": card.title in mine} for card in cards], form)
    elif not cards:
        out.print(Text(f"no card answers {query!r}: say the symptom in other words"))
    elif query.strip():
        for card in cards:
            say(Text(f"{card.text()}\n"))
    else:
        ordered = sorted(cards, key=lambda card: (card.topic.lower(), card.title))
        rows = [[card.topic, card.title, card.cost, "yours" if card.title in mine else ""] for card in ordered]
        out.print(table(("topic", "card~", "cost~", ""), rows))


def _own(home: Path) -> list[Card]:
    if not (home / FILE_NAME).exists():
        return []
    with Memory.open(home, create=False, read_only=True) as memory:
        return own_cards(memory)


def import_cards(home: Path, paths: Sequence[Path], *, json: bool) -> None:
    """Check all cards, then keep all of them; a home without a memory gets one."""
    cards = card_files(paths)
    with Memory.open(home) as memory:
        imported = put_cards(memory, cards)
    if json:
        print_json([each._asdict() for each in imported])
        return
    for title, outcome in imported:
        say(f"{title}: {_WORDS[outcome]}")
