"""The knowledge base: short cards on what sequence models are made of. Reading and checking them.

A card is a Markdown file: a front matter in TOML between two lines `+++`, then five sections (docs/knowledge.md).
Those of `prompts/knowledge/` ship with netwright; users bring their own. Nothing is read before it is asked for.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from netwright.errors import ConfigError
from netwright.printable import printable
from netwright.types import Frozen, Scope

FILE_BYTES_MAX = 16_384
_FENCED = re.compile(r"\A\+\+\+[ \t]*\n(.*?)^\+\+\+[ \t]*(?:\n|\Z)(.*)\Z", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^## +(.+?)\s*$", re.MULTILINE)

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400, pattern=r"^[^\n]*$")]
Section = Annotated[str, StringConstraints(min_length=1, max_length=1500)]


class Card(Frozen):
    """What is known of one mechanism: how it works, when it helps, when it fails, what it costs.

    `symptoms` say, as a critic would, what it answers; `scopes` are those of candidates that can use it; `baseline`
    names the one of netwright's own that implements it. `price` is the section on cost, `cost` its summary in a phrase.
    """

    model_config = ConfigDict(populate_by_name=True)

    title: Line
    topic: Line
    symptoms: Annotated[tuple[Line, ...], Field(min_length=1, max_length=12)]
    cost: Line
    citation: Line
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] = tuple(Scope)
    baseline: Line | None = None
    mechanism: Annotated[Section, Field(alias="## Mechanism")]
    equation: Annotated[Section, Field(alias="## Equation")]
    helps: Annotated[Section, Field(alias="## When it helps")]
    fails: Annotated[Section, Field(alias="## When it fails")]
    price: Annotated[Section, Field(alias="## Cost")]

    def text(self) -> str:
        """Return the card as a planner reads it, without its symptoms."""
        measured = f" Measured here as the baseline `{self.baseline}`." if self.baseline else ""
        return "\n".join(
            [
                f"## {self.title}",
                "",
                f"{self.mechanism}{measured}",
                "",
                self.equation,
                "",
                f"Helps: {self.helps}",
                f"Fails: {self.fails}",
                f"Cost: {self.cost}. {self.price}",
                f"Source: {self.citation}",
            ]
        )


class CardFile(NamedTuple):
    """A card, the name of the file that it came in, and the file's text."""

    name: str
    text: str
    card: Card


_KEYS = {field.alias or name: name for name, field in Card.model_fields.items()}
_FRONT = [key for key in _KEYS if not key.startswith("## ")]
_SECTIONS = [key for key in _KEYS if key.startswith("## ")]
_EXPECTED = {
    "string_too_short": "is empty: say it in a few words",
    "string_too_long": "has more than {max_length} characters: shorten it",
    "string_pattern_mismatch": "has several lines: put it into one",
    "string_type": "is not a text: put it in quotes",
    "tuple_type": 'is not a list: write it as ["...", "..."]',
    "too_short": "is empty: name at least one",
    "too_long": "has more than {max_length} entries: keep those that say most",
    "enum": "is none of {expected}",
}


@cache
def shipped_cards() -> tuple[Card, ...]:
    """Return the cards that ship with netwright, by the names of their files."""
    folder = files(__package__) / "knowledge"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".md"))
    return tuple(parsed((folder / name).read_text(encoding="utf-8"), f"knowledge/{name}") for name in names)


def card_files(paths: Iterable[Path]) -> list[CardFile]:
    """Read cards: files, and of folders all `*.md` in them and below, sorted by path.

    Raises:
        ConfigError: one cannot be read or is no card, two have the same title, or a folder holds none.
    """
    found: list[CardFile] = []
    titles: dict[str, Path] = {}
    for path in dict.fromkeys(each for given in paths for each in _expanded(given)):
        text = _read(path)
        card = parsed(text, str(path))
        if card.title in titles:
            raise ConfigError(
                f"{path}: title: {titles[card.title]} has the title {card.title!r} too: rename one of them"
            )
        titles[card.title] = path
        found.append(CardFile(path.name, text, card))
    return found


def _expanded(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if not (found := sorted(path.rglob("*.md"))):
        raise ConfigError(f"{path} holds no card: put Markdown files (*.md) there, as docs/knowledge.md describes them")
    return found


def _read(path: Path) -> str:
    if path.suffix != ".md" or not path.is_file():
        raise ConfigError(f"{path} is no Markdown file (*.md) and no folder of them: name a card, or a folder of cards")
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise ConfigError(f"{path} has more than {FILE_BYTES_MAX:,} bytes: a card is short, divide it into several")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; look at its permissions") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start + 1}): save it as UTF-8") from None


def parsed(text: str, where: str) -> Card:
    """Check `text` as a card; messages begin with `where`.

    Raises:
        ConfigError: it is no card; the message names the field or section, what is wrong and what to do.
    """
    text = text.replace("\r\n", "\n")
    if printable(text) != text:
        raise ConfigError(f"{where}: holds a control or direction character, which could hide words: remove it")
    parts = _FENCED.match(text)
    if parts is None:
        raise ConfigError(
            f"{where}: has no front matter: begin the file with a line +++, then {', '.join(_FRONT[:5])} as TOML, "
            "then a line +++"
        )
    front, body = parts.groups()
    try:
        # The opening fence is the file's first line: with it, TOML counts lines as an editor does.
        values = tomllib.loads(f"\n{front}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{where}: the front matter is not valid TOML ({error}): mend that line") from None
    if name := next((key for key in values if key not in _FRONT), None):
        raise ConfigError(f"{where}: {name}: unknown in a front matter: remove it; known are {', '.join(_FRONT)}")
    try:
        return Card.model_validate({**values, **_sections(body, where)})
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explained(error.errors(include_url=False)[0])}") from None


def _sections(body: str, where: str) -> dict[str, str]:
    """Return the sections by heading; an equation keeps its indentation, for it is code."""
    preface, *parts = _HEADING.split(body)
    if preface.strip():
        raise ConfigError(f"{where}: text before the first section: put it under {_SECTIONS[0]!r}")
    sections: dict[str, str] = {}
    for heading, content in zip(parts[::2], parts[1::2], strict=True):
        name = f"## {heading}"
        if name not in _SECTIONS:
            raise ConfigError(f"{where}: {name}: unknown section: rename it; a card has {', '.join(_SECTIONS)}")
        if name in sections:
            raise ConfigError(f"{where}: {name}: stands twice: join the two")
        sections[name] = content.strip("\n") if name == "## Equation" else " ".join(content.split())
    return sections


def _explained(error: ErrorDetails) -> str:
    """Name the field, what is wrong and what to do."""
    field = str(error["loc"][0])
    if error["type"] == "missing":
        where = "the file, with some words under it" if field in _SECTIONS else "the front matter"
        return f"{field}: is missing: add it to {where}"
    context: dict[str, Any] = error.get("ctx", {})
    words = _EXPECTED.get(error["type"], error["msg"])
    return f"{field}: {words.format(**context)}"
