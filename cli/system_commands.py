"""Commands about the machine: doctor."""

from __future__ import annotations

import typer

from netwright.cli.options import DEFAULT_HOME, Home, Json


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(doctor)


def doctor(home: Home = DEFAULT_HOME, json: Json = False) -> int:
    """Show what is there and what is missing: Python, torch, isolation, SQLite, disk; and how to get it."""
    from netwright.cli.checkup import print_checkup

    return print_checkup(home, json=json)
