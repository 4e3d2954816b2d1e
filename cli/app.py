"""The door: `netwright COMMAND`. Errors become one sentence and an exit code here, and nowhere else.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 3 the candidate was rejected, 130 interrupted.
"""

from __future__ import annotations

import sys

import typer

from netwright import __version__
from netwright.cli import (
    campaign_commands,
    candidate_commands,
    endpoint_commands,
    export_commands,
    measure_commands,
    memory_commands,
    publish_commands,
    serve_command,
    system_commands,
)
from netwright.errors import NetwrightError


def _leave(code: int | None = None, **options: object) -> None:
    """Turn what a command returned into the exit code."""
    raise typer.Exit(code or 0)


app = typer.Typer(
    name="netwright",
    help="Discover neural architectures: propose, train, judge, remember, with evidence.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    result_callback=_leave,
)
campaign_commands.register(app)
candidate_commands.register(app)
measure_commands.register(app)
export_commands.register(app)
publish_commands.register(app)
app.add_typer(memory_commands.app, name="memory")
app.add_typer(endpoint_commands.app, name="endpoint")
serve_command.register(app)
system_commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"netwright {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_print_version, is_eager=True),
) -> None:
    """Discover neural architectures: propose, train, judge, remember, with evidence."""


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; the exit code. Every error that a user can mend is one sentence on stderr."""
    try:
        app(args=arguments, prog_name="netwright")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except NetwrightError as error:
        typer.echo(f"netwright: {error}", err=True)
        return error.exit_code
    return 0
