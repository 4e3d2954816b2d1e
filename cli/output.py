"""Printing: tables for people, one JSON document for programs."""

from __future__ import annotations

import errno
import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from pydantic import BaseModel
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from netwright.cli.options import terminal_width
from netwright.printable import printable
from netwright.types import Finding

HEADING_WIDTH = 8
LEAST_WIDTH = 12
WRAPPED_WIDTH = 32
SPARKS = "▁▂▃▄▅▆▇█"


class _Console(Console):
    """A console whose reader may leave: that is an OSError for the caller, not the end of the process."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError(errno.EPIPE, "nobody reads this any more")

    def print(self, *objects: Any, crop: bool = False, **options: Any) -> None:
        """Print; a table that is too wide even at its narrowest runs over the edge, as nothing of it may be lost."""
        super().print(*objects, crop=crop, **options)


out = _Console(width=terminal_width(), highlight=False, soft_wrap=False)
err = _Console(stderr=True, highlight=False)


def say(text: str | Text) -> None:
    """A paragraph: wrapped at words in a terminal, one line where the output is read by a program."""
    out.print(Text(text) if isinstance(text, str) else text, soft_wrap=not out.is_terminal)


def code(text: str, language: str) -> RenderableType:
    """A source in colours on a terminal; as it is, line by line, where it is read by a program."""
    if not out.is_terminal:
        return Text(printable(text), no_wrap=True, overflow="ignore")
    from rich.syntax import Syntax

    return Syntax(printable(text), language, theme="ansi_dark", background_color="default", word_wrap=True)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(document, default=plain, indent=2, ensure_ascii=False))  # noqa: T201


def plain(value: Any) -> Any:
    """What JSON does not know, as what it knows."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


@dataclass(frozen=True)
class _Column:
    """A column of a table: its heading without the signs for `right` and `wraps`, and what stands below it."""

    name: str
    heading: str
    right: bool
    wraps: bool
    cells: list[Text]

    @classmethod
    def of(cls, column: str, cells: Iterable[object]) -> _Column:
        return cls(
            column, column.rstrip(">~"), column.endswith(">"), column.endswith("~"), [_cell(value) for value in cells]
        )

    @property
    def content(self) -> int:
        return max((cell_len(line) for cell in self.cells for line in cell.plain.split("\n")), default=0)

    @property
    def width(self) -> int:
        return max(self.content, *(cell_len(line) for line in self.heading.split("\n")))

    @property
    def least(self) -> int:
        return min(self.width, LEAST_WIDTH) if self.wraps else self.width

    def narrow(self) -> _Column:
        """Its heading in lines no longer than its cells, or than HEADING_WIDTH."""
        words = self.heading.replace("/", "/\n").split("\n")
        lines = [
            line
            for part in words
            for line in textwrap.wrap(part, max(self.content, HEADING_WIDTH), break_long_words=False)
        ]
        return replace(self, heading=self.heading if self.content >= cell_len(self.heading) else "\n".join(lines))


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    spare: Sequence[str] = (),
) -> Table:
    """A plain table as wide as `out`; columns without a word in them are left out, and headings where there are none.

    A column whose heading ends in `>` is set to the right; only one whose heading ends in `~` is wrapped. Where words
    would have to wrap early, the `spare` columns give way, the first of them first.
    """
    known = list(rows)
    made = [_Column.of(column, [row[number] for row in known]) for number, column in enumerate(columns)]
    made = [column for column in made if column.content or not known]
    gap, room = 2, out.width
    if _wanted(made, gap) > room:
        made = [column.narrow() for column in made]
        for name in spare:
            if _wanted(made, gap) > room:
                made = [column for column in made if column.name != name]
        least = sum(column.least for column in made)
        gap = 2 if least + 2 * (len(made) - 1) <= room else 1
        room = max(room, least + gap * (len(made) - 1))
    drawn = Table(
        title=title,
        title_justify="left",
        box=None,
        header_style="bold",
        show_header=any(column.heading for column in made),
        padding=(0, gap, 0, 0),
        pad_edge=False,
        width=room if room > out.width else None,
    )
    lines = max((column.heading.count("\n") for column in made), default=0)
    for column in made:
        drawn.add_column(
            Text("\n" * (lines - column.heading.count("\n")) + printable(column.heading)),
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=not column.wraps,
            min_width=column.least,
        )
    for cells in zip(*(column.cells for column in made), strict=True):
        drawn.add_row(*cells)
    return drawn


def _wanted(columns: Sequence[_Column], gap: int) -> int:
    """The width at which words need not wrap before WRAPPED_WIDTH."""
    widths = [min(column.width, WRAPPED_WIDTH) if column.wraps else column.width for column in columns]
    return sum(widths) + gap * (len(widths) - 1)


def findings_table(findings: Iterable[Finding]) -> Table:
    """What was looked at, what was found, and what to do about it."""
    return table(("", "~", "what to do~"), [_finding_row(finding) for finding in findings])


def _finding_row(finding: Finding) -> list[object]:
    style = "green" if not finding.remedy else "red" if finding.vital else "yellow"
    return [finding.what, Text(printable(finding.found), style=style), Text(printable(finding.remedy))]


def told_once(
    names: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> tuple[list[str], list[list[object]], str]:
    """Take out those of the columns `names` that say the same in all rows: columns and rows without, and what it is."""
    same = {
        number: str(rows[0][number])
        for number, column in enumerate(columns)
        if rows and column.rstrip(">~") in names and len({str(row[number]) for row in rows}) == 1
    }
    left = [number for number in range(len(columns)) if number not in same]
    words = ", ".join(word for word in same.values() if word)
    return [columns[number] for number in left], [[row[number] for number in left] for row in rows], words


def section(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    once: Sequence[str] = (),
    spare: Sequence[str] = (),
    lead: str = "",
) -> None:
    """Print a table under its title; what the columns `once` say in all rows stands beside the title instead.

    Nothing where there are no rows, but for a title that has its own `lead`.
    """
    if rows or lead:
        columns, rows, same = told_once(once, columns, rows)
        beside = ", ".join(word for word in (lead, same) if word)
        out.print(Text.assemble((f"\n{title}", "bold"), (f"  {beside}" if beside else "", "dim")))
    if rows:
        out.print(table(columns, rows, spare=spare))


def metric_names(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """The metrics that any of the rows has, each once, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row))


def metric_columns(names: Sequence[str]) -> list[str]:
    """A column for each metric, headed by what it is measured in."""
    return [f"{name.replace('_', ' ')}>" for name in names]


def metric_cells(row: Mapping[str, float], names: Sequence[str]) -> list[object]:
    """The cells of those columns."""
    return [f"{row[name]:.3f}" if name in row else None for name in names]


def _cell(value: object) -> Text:
    if value is None:
        return Text("-")
    return value if isinstance(value, Text) else Text(printable(str(value)))


def count(number: float | None) -> str:
    """12_345 as `12.3k`, None as `-`."""
    if number is None:
        return "-"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number:.0f}"


def loss(value: float | None) -> str:
    """A loss in nats, None as `-`."""
    return "-" if value is None else f"{value:.4f}"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """A curve in one line of text, at most `width` characters, from its first value to its last."""
    if not values:
        return ""
    points = min(width, len(values))
    picked = [values[place * (len(values) - 1) // max(points - 1, 1)] for place in range(points)]
    low, high = min(picked), max(picked)
    scale = (len(SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(SPARKS[round((value - low) * scale)] for value in picked)


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
