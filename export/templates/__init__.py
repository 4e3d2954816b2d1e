"""The files of an export that are written by filling in; candidates' words reach none that is code."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment() -> Environment:
    # What is made is Python and Markdown; there is no HTML to escape for.
    loader = PackageLoader("netwright.export", "templates")
    return Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )


def render(name: str, **values: Any) -> str:
    """Return the template of that name, filled in."""
    return _environment().get_template(name).render(**values)
