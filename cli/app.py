"""The door: `netwright COMMAND`. Errors become one sentence and an exit code here, and nowhere else.

Exit codes: 0 done, 1 failed, 2 bad usage or bad input, 3 the candidate was rejected, 130 interrupted.
"""

from __future__ import annotations

import os
import sys

import click
import typer

from netwright import __version__
from netwright.cli import campaign_commands, candidate_commands, memory_commands, system_commands
from netwright.errors import NetwrightError

app = typer.Typer(
    name="netwright",
    help="Discover neural architectures: propose, train, judge, remember, with evidence.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
campaign_commands.register(app)
candidate_commands.register(app)
app.add_typer(memory_commands.app, name="memory")
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
        code = app(args=arguments, prog_name="netwright", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except NetwrightError as error:
        _complain(str(error))
        return error.exit_code
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        # Whoever read our output (head, less) is done; what Python still has buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _complain(message: str) -> None:
    typer.echo(f"netwright: {message}", err=True)
