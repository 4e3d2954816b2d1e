"""Commands about LLM endpoints: check."""

from __future__ import annotations

from typing import Annotated

import typer

from netwright.cli.options import (
    DEFAULT_HOME,
    HeaderVariables,
    Home,
    Json,
    KeyVariable,
    ServeOptions,
    named_headers,
    words_of,
)

app = typer.Typer(help="Look at LLM endpoints.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Look at LLM endpoints."""


@app.command()
def check(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]", envvar="NETWRIGHT_LLM_URL", help="The endpoint, with or without /v1, or hf: and a model."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", envvar="NETWRIGHT_LLM_MODEL", help="The model. Default: the only one there is."),
    ] = None,
    key_env: KeyVariable = None,
    header: HeaderVariables = None,
    serve_options: ServeOptions = None,
    longest: Annotated[
        int, typer.Option("--context", min=1024, max=1 << 20, help="Tokens of the longest prompt to try.")
    ] = 16_384,
    quick: Annotated[bool, typer.Option("--quick", help="Leave the long prompts out.")] = False,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> int:
    """Try out what an endpoint can do, say how to mend what it cannot, and remember it for campaigns.

    Exit code 0 when a campaign can use it, else 2. It says beforehand about how many tokens it will use.
    """
    from netwright.cli.endpoint_check import print_check
    from netwright.errors import ConfigError

    if not url:
        raise ConfigError("name the endpoint to check, such as http://localhost:11434, or set NETWRIGHT_LLM_URL")
    return print_check(
        home,
        url,
        model or None,
        key_env=key_env,
        headers=named_headers(header) or {},
        serve_options=words_of(serve_options) or (),
        longest=None if quick else longest,
        json=json,
    )
