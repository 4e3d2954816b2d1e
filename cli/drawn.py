"""What `memory draw` prints: an architecture as SVG."""

from __future__ import annotations

from pathlib import Path

import typer

from netwright.cli.output import say
from netwright.errors import NotFound, StoreError
from netwright.memory.rows import SHORT
from netwright.memory.store import Memory
from netwright.printable import printable
from netwright.report.drawing import drawing_of, standalone


def print_drawing(home: Path, which: str, file: Path | None, beside: str | None) -> None:
    """Print the drawing of a candidate, or write it into `file`.

    Raises: NotFound where it was never traced, or is too large for a page; StoreError where the file cannot be written.
    """
    with Memory.open(home, create=False, read_only=True) as memory:
        candidate = memory.candidate(which)
        drawing = drawing_of(memory, candidate.id, memory.candidate(beside).id if beside else None)
        traced = memory.trace(candidate.id) is not None
    if drawing is None:
        why = "it is too large for a page" if traced else "only designs that a campaign proposed are traced"
        raise NotFound(f"{candidate.id[:SHORT]} ({printable(candidate.title)}) cannot be drawn: {why}")
    text = standalone(drawing)
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror}; choose another file with --out") from None
    say(f"wrote {file}")
