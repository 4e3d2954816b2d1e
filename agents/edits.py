"""Search/replace blocks: how a model changes a part of a file without writing it again. Pure.

<<<<<<< SEARCH
lines of the file, as they are
=======
lines that take their place
>>>>>>> REPLACE
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netwright.agents.replies import Defect

# What stands behind the signs is for people: models write file names there, or other words.
_OPEN = re.compile(r" {0,3}<{5,9}(\s.*)?")
_MIDDLE = re.compile(r" {0,3}={5,9}\s*")
_CLOSE = re.compile(r" {0,3}>{5,9}(\s.*)?")
_FENCE = re.compile(r" {0,3}(```|~~~)[\w+.-]*\s*")
_SHOWN_CHARACTERS = 160

Lines = tuple[str, ...]


@dataclass(frozen=True)
class Edit:
    """One block: the lines to find, and those that take their place."""

    search: Lines
    replace: Lines


@dataclass(frozen=True)
class Blocks:
    """The blocks of a text; `open` tells that it ended inside the last one, of which what came is not in `edits`."""

    edits: tuple[Edit, ...]
    open: bool = False


def has_edits(text: str) -> bool:
    """Tell whether a block begins anywhere in `text`."""
    return any(_OPEN.fullmatch(line) for line in _lines(text))


def read_edits(text: str, *, cut_off: bool = False) -> Blocks | Defect:
    """Return the blocks of `text` in order, in or outside of fences, whatever stands between them.

    The last one may lack its end, unless `text` was cut off there.
    """
    edits: list[Edit] = []
    parts: list[list[str]] = []  # of the block that is open: what it searches, then what replaces it
    for line in _lines(text.rstrip()):
        opens = _OPEN.fullmatch(line)
        if parts and (opens or _CLOSE.fullmatch(line)):
            if len(parts) == 1:
                return Defect(f"block {len(edits) + 1} has no line ======= between the lines to find and the new ones.")
            edits.append(_edit(parts))
            parts = []
        elif len(parts) == 1 and _MIDDLE.fullmatch(line):
            parts.append([])
        elif parts:
            parts[-1].append(line)
        if opens:
            parts = [[]]
    if parts and cut_off:
        return Blocks(tuple(edits), open=True)
    if len(parts) == 1:
        return Defect(f"block {len(edits) + 1} ends before its line =======.")
    return Blocks((*edits, _edit(parts)) if parts else tuple(edits))


def apply_edits(source: str, edits: Sequence[Edit]) -> str | Defect:
    """Carry out all `edits` in order, or none; each has to find its lines exactly once.

    Lines are compared as they are; where that finds nothing, without the white space at their ends and without blank
    lines around the block.
    """
    lines = _lines(source)
    for number, edit in enumerate(edits, 1):
        block = f"block {number} of {len(edits)}"
        if not any(line.strip() for line in edit.search):
            return Defect(f"{block} searches for nothing: quote the lines that it replaces, or the line before.")
        found = _found(lines, edit)
        if isinstance(found, str):
            return Defect(f"{block}: {found}")
        at, length, replace = found
        lines[at : at + length] = replace
    return "\n".join(lines)


def _found(lines: Sequence[str], edit: Edit) -> tuple[int, int, Lines] | str:
    """Where the edit goes, how many lines it takes away and which it brings; or why it goes nowhere."""
    if edit.search == edit.replace:
        return "what it searches and what replaces it are the same."
    trimmed = Edit(_without_blank_ends(edit.search), _without_blank_ends(edit.replace))
    tries: tuple[tuple[Edit, Callable[[str], str]], ...] = ((edit, str), (edit, str.rstrip), (trimmed, str.rstrip))
    for wanted, seen in tries:
        places = _places([seen(line) for line in lines], [seen(line) for line in wanted.search])
        if len(places) == 1:
            return places[0], len(wanted.search), wanted.replace
        if places:
            return (
                f"what it searches, beginning with {_shown(trimmed.search[0])}, stands {len(places)} times in the "
                "file: quote more lines, so that it stands there once."
            )
    return _nearest([line.rstrip() for line in lines], [line.rstrip() for line in trimmed.search])


def _edit(parts: Sequence[Sequence[str]]) -> Edit:
    search, replace = map(unfenced, parts)
    return Edit(search, replace)


def _places(lines: Sequence[str], search: Sequence[str]) -> list[int]:
    last = len(lines) - len(search)
    return [at for at in range(last + 1) if lines[at : at + len(search)] == search]


def _nearest(lines: Sequence[str], search: Sequence[str]) -> str:
    """Say which line of the search the file does not have, and what it has there."""
    fits = {at: _common(lines[at:], search) for at in range(len(lines))}
    at = max(fits, key=lambda place: fits[place])
    if not fits[at]:
        likest = max(lines, key=lambda line: _likeness(line, search[0]))
        return f"what it searches is not in the file: no line is {_shown(search[0])}, the nearest is {_shown(likest)}."
    there = lines[at + fits[at]] if at + fits[at] < len(lines) else ""
    return (
        f"what it searches is not in the file: after {_shown(search[fits[at] - 1])} the file has {_shown(there)}, and "
        f"not {_shown(search[fits[at]])}."
    )


def _common(lines: Sequence[str], search: Sequence[str]) -> int:
    """How many lines both begin with."""
    pairs = zip(lines, search, strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), min(len(lines), len(search)))


def _likeness(line: str, other: str) -> float:
    return difflib.SequenceMatcher(None, line[:_SHOWN_CHARACTERS], other[:_SHOWN_CHARACTERS]).ratio()


def _shown(line: str) -> str:
    return repr(line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 3] + "...")


def _lines(text: str) -> list[str]:
    """Split at line ends alone: what else Python takes for one may stand in a string of the file."""
    return text.replace("\r\n", "\n").split("\n")


def unfenced(lines: Sequence[str]) -> Lines:
    """Return the lines without a fence around them, or the half of one that is there."""
    kept = list(lines)
    if kept and _FENCE.fullmatch(kept[0]):
        kept.pop(0)
    if kept and _FENCE.fullmatch(kept[-1]):
        kept.pop()
    return tuple(kept)


def _without_blank_ends(lines: Lines) -> Lines:
    kept = [at for at, line in enumerate(lines) if line.strip()]
    return lines[kept[0] : kept[-1] + 1] if kept else ()
