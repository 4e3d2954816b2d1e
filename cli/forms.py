"""The form in which a result is shown, for all commands: text (through a pager in a terminal), JSON, or CSV."""

from __future__ import annotations

import csv
import functools
import inspect
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netwright.cli.options import Json
from netwright.errors import ConfigError
from netwright.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS = {
    "json": Json,
    "csv": Annotated[bool, typer.Option("--csv", help="Print comma-separated values on stdout.")],
    "no_pager": Annotated[bool, typer.Option("--no-pager", help="Print at once, without $PAGER.")],
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Form(StrEnum):
    """What a result is printed as."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


def shown(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the options about the form of its result; it gets what they say as `form`."""
    signature = inspect.signature(command, eval_str=True)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]

    @functools.wraps(command)
    def call(*, json: bool, csv: bool, no_pager: bool, **given: Any) -> Any:
        if json and csv:
            raise ConfigError("--json and --csv are two forms of one result: give one of them")
        form = Form.JSON if json else Form.CSV if csv else Form.TEXT
        from netwright.cli.pager import paged

        with paged(wanted=form is Form.TEXT and not no_pager):
            return command(**given, form=form)

    own = [known for name, known in signature.parameters.items() if name != "form"]
    call.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    return call


def print_document(document: Any, form: Form, rows: Iterable[Any] | None = None) -> None:
    """Print one document as JSON or CSV; as CSV its `rows`, where they are not what it is itself a list of."""
    from netwright.cli.output import plain, print_json

    if form is Form.JSON:
        print_json(document)
    else:
        known = json.loads(json.dumps(document if rows is None else list(rows), default=plain))
        sys.stdout.write(csv_text(known))


def csv_text(document: list[Mapping[str, Any]] | Mapping[str, Any]) -> str:
    r"""Records as a table with a heading; a single record as its fields and values, with a dot between levels.

    What is nested in a record of many stays JSON. A text that a spreadsheet would compute stands after an apostrophe:
    it may be a candidate's. No text steers a terminal.

    >>> csv_text([{"id": "a", "loss": 1.5}, {"id": "b", "seeds": [1, 2]}])
    'id,loss,seeds\na,1.5,\nb,,"[1, 2]"\n'
    """
    columns: list[str]
    rows: list[list[Any]]
    if isinstance(document, list):
        columns = list(dict.fromkeys(name for row in document for name in row))
        rows = [[row.get(name) for name in columns] for row in document]
    else:
        columns, rows = ["field", "value"], [list(pair) for pair in _fields(document)]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerows([list(map(_cell, row)) for row in ([columns, *rows] if columns else [])])
    return written.getvalue()


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not isinstance(value, dict | list):
        yield path, value
    for name, part in parts:
        yield from _fields(part, f"{path}.{name}" if path else str(name))


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return value
    return printable(f"'{value}" if value.startswith(_FORMULA) else value)
