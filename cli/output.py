"""Printing: tables for people, one JSON document for programs."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from netwright.cli.options import terminal_width
from netwright.printable import printable


class _Console(Console):
    """A console whose reader may leave: that is an OSError for the caller, not the end of the process."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError(errno.EPIPE, "nobody reads this any more")


out = _Console(width=terminal_width(), highlight=False, soft_wrap=False)
err = _Console(stderr=True, highlight=False)


def say(text: str | Text) -> None:
    """A paragraph: wrapped at words in a terminal, one line where the output is read by a program."""
    out.print(Text(text) if isinstance(text, str) else text, soft_wrap=not out.is_terminal)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, default=_plain, indent=2, ensure_ascii=False))  # noqa: T201


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> Table:
    """A plain table; a column whose heading ends in `>` is set to the right."""
    drawn = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns:
        right = column.endswith(">")
        drawn.add_column(column.rstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*[_cell(value) for value in row])
    return drawn


def _cell(value: object) -> Any:
    if value is None:
        return "-"
    return value if isinstance(value, Text) else Text(printable(str(value)))


def count(number: float | None) -> str:
    """12_345 as `12.3k`, None as `-`."""
    if number is None:
        return "-"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def took(seconds: float) -> str:
    """0.0123 as `12 ms`, 5.23 as `5.2 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def duration(seconds: float | None) -> str:
    """75.2 as `1m15s`."""
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"
