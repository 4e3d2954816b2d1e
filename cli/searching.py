"""What `memory search` and `memory embed` do and print."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from netwright.agents.embedding import EndpointEmbedder
from netwright.campaign.roles import key_value
from netwright.campaign.single import read_candidate
from netwright.cli.forms import Form, print_document
from netwright.cli.output import err, out, print_json, say
from netwright.errors import ConfigError
from netwright.evaluator.structure import structure_of
from netwright.llm_config import KEY_VARIABLE
from netwright.memory import vectors
from netwright.memory.filters import Filter
from netwright.memory.search import Hit, Like, search
from netwright.memory.store import Memory
from netwright.types import Candidate, Scope

Endpoint = tuple[str | None, str | None, str | None]
"""The URL, the model, and the variable with the key, as the flags have them."""


@dataclass(frozen=True, kw_only=True)
class _Given:
    like: str | None = None
    file: Path | None = None
    only: Filter = Filter()
    limit: int = 10


@dataclass(frozen=True)
class Asked(_Given):
    """What is searched for; `like` is an id, `file` a candidate's."""

    words: str


def print_hits(home: Path, asked: Asked, endpoint: Endpoint, *, form: Form) -> None:
    """Search results with the reason for each.

    Raises:
        ConfigError: there is nothing to search for, or the file is no candidate.
    """
    embedder = _embedder(endpoint)
    with Memory.open(home, create=False, read_only=True) as memory:
        like = _like(memory, asked)
        if like is None and not asked.words.strip():
            raise ConfigError("nothing to search for: give words, --like ID or --like-file FILE")
        hits = search(memory, asked.words, limit=asked.limit, like=like, only=asked.only, embedder=embedder)
        missing = memory.shelf(embedder.name).missing if embedder is not None else 0
    if embedder is not None and missing:
        err.print(Text(f"{missing} texts have no vector of {embedder.name} yet: `netwright memory embed` makes them"))
    if form is not Form.TEXT:
        print_document(hits, form)
        return
    if not hits:
        out.print(Text(f"nothing speaks of {asked.words!r}" if like is None else "nothing is like it"))
    for hit in hits:
        _print_hit(hit)


def _print_hit(hit: Hit) -> None:
    say(Text.assemble((hit.short or "-", "cyan"), "  ", (hit.title, "bold")))
    say(Text(f"    {' '.join(hit.snippet.split())}"))
    say(Text(f"    {hit.why}", style="dim"))


def _like(memory: Memory, asked: Asked) -> Like | None:
    if asked.like is not None and asked.file is not None:
        raise ConfigError("--like and --like-file name two designs to be like: give one of them")
    if asked.like is not None:
        return _likeness(memory.candidate(asked.like))
    if asked.file is None:
        return None
    candidate = read_candidate(asked.file, Scope.MIXER)
    try:
        ast.parse(candidate.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{asked.file} is no Python that can be compared: {error}") from None
    return _likeness(candidate)


def _likeness(candidate: Candidate) -> Like:
    structure = structure_of(candidate.source, candidate.genotype)
    return Like(structure, f"{candidate.title} {candidate.hypothesis}", candidate.id)


def _embedder(endpoint: Endpoint) -> EndpointEmbedder | None:
    url, model, key_env = endpoint
    if url is None and model is None:
        return None
    if url is None or model is None:
        raise ConfigError("--embed and --embed-model go together: give the server's URL and the name of its model")
    return EndpointEmbedder(url, model, key_value(key_env or KEY_VARIABLE, os.environ))


def embed_all(home: Path, url: str, model: str, key_env: str | None, *, json: bool) -> None:
    """Make what vectors are missing, and say how many that were."""
    embedder = _embedder((url, model, key_env))
    assert embedder is not None
    with Memory.open(home, create=False) as memory:
        made = vectors.fill(memory.connection, embedder, lambda done: err.print(f"{done} texts embedded"))
    if json:
        print_json({"model": model, "made": made})
    else:
        out.print(Text(f"{made} vectors made by {model}" if made else f"all there is has a vector of {model} already"))
