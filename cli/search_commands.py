"""Commands that find experiments: search, and embed, which has a model make the vectors for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netwright.cli.forms import Form, shown
from netwright.cli.options import DEFAULT_HOME, Home, Json, KeyVariable

Url = Annotated[
    str | None,
    typer.Option("--embed", metavar="URL", help="A server whose model finds what means the same; see `memory embed`."),
]
Model = Annotated[str | None, typer.Option("--embed-model", metavar="NAME", help="Its model for embeddings.")]


@shown
def search(
    form: Form,
    query: Annotated[list[str] | None, typer.Argument(metavar="[QUERY...]", help="Words.")] = None,
    like: Annotated[str | None, typer.Option(metavar="ID", help="Made as this candidate is.")] = None,
    like_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Made as this file is.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", metavar="'NAME < NUMBER'", help="With such a loss, size, metric. Repeatable."),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only what was tried on this task.")] = None,
    campaign: Annotated[str | None, typer.Option("--campaign", "-c", help="Only this campaign.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only with this verdict, such as better.")] = None,
    origin: Annotated[str | None, typer.Option(help="Only by this maker, such as baseline or grammar.")] = None,
    embed: Url = None,
    embed_model: Model = None,
    key_env: KeyVariable = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many rows.")] = 10,
    home: Home = DEFAULT_HOME,
) -> None:
    """Find experiments by words, by what they are made of and by numbers, with the reason for each.

    Words are looked for in hypotheses, code, verdicts, failures, lessons and knowledge.
    """
    from netwright.cli.searching import Asked, print_hits
    from netwright.memory.filters import Condition, Filter

    conditions = tuple(Condition.parsed(each) for each in where or ())
    only = Filter(where=conditions, task=task, campaign=campaign, outcome=outcome, origin=origin)
    asked = Asked(" ".join(query or ()), like=like, file=like_file, only=only, limit=limit)
    print_hits(home, asked, (embed, embed_model, key_env), form=form)


def embed(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server, with or without /v1.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Its model for embeddings.")],
    key_env: KeyVariable = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Have a model make vectors of all that has none of it yet, for `search --embed URL --embed-model MODEL`.

    What was made is kept: broken off, it goes on where it stopped.
    """
    from netwright.cli.searching import embed_all

    embed_all(home, url, model, key_env, json=json)


def register(app: typer.Typer) -> None:
    """Add these commands to those on the memory."""
    app.command()(search)
    app.command()(embed)
