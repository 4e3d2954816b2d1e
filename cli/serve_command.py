"""`netwright serve`: the memory in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from netwright.cli.options import DEFAULT_HOME, Home

PORT = 8765


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="The address to listen at; by default only this machine reaches it.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen at.")] = PORT,
    home: Home = DEFAULT_HOME,
) -> None:
    """Look into the memory in a web browser: campaigns, trees, experiments, tables. Read-only, also while one runs."""
    from netwright.web.server import is_loopback, listening

    server = listening(home, host, port)
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"http://{shown}:{port} shows {home / 'memory.db'}, for reading only; Ctrl-C ends it", err=True)
    if not is_loopback(host):
        typer.echo(
            f"everybody who reaches {host} port {port} can read everything in this memory, without a password: "
            "code, prompts, results",
            err=True,
        )
    server.run()
