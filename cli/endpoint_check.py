"""What `endpoint check` does and prints."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.text import Text

from netwright.agents.endpoint import Endpoint
from netwright.agents.local_model import check_local_model, is_local, settled
from netwright.agents.model_server import ModelServer
from netwright.agents.probe import Probe
from netwright.agents.probe_questions import AT_ONCE, cost
from netwright.agents.profile import ProfileStore
from netwright.agents.retrying import RetryRule
from netwright.agents.transport import Timeouts
from netwright.campaign.roles import PROFILES, header_values, key_value
from netwright.campaign.serving import model_server
from netwright.cli.output import err, findings_table, out, print_json, say
from netwright.config_file import load_config
from netwright.errors import NetwrightError
from netwright.llm_config import KEY_VARIABLE, LlmConfig
from netwright.types import Finding

TELL_SECONDS = 10.0


def print_check(
    home: Path,
    url: str,
    model: str | None,
    *,
    key_env: str | None,
    headers: Mapping[str, str],
    serve_options: Sequence[str],
    longest: int | None,
    json: bool,
) -> int:
    """Ask, and print what was found; 0 when a campaign can use the endpoint, 2 when not, 130 when interrupted."""
    profiles = ProfileStore(home / PROFILES)
    defaults = LlmConfig()
    server = _server(home, url, model, headers, serve_options) if is_local(url) or serve_options else None
    endpoint = Endpoint(
        server.url if server else url,
        server.model if server else model,
        None if server else key_value(key_env or KEY_VARIABLE, os.environ),
        headers=header_values(headers, os.environ),
        timeouts=Timeouts(
            connect_seconds=defaults.connect_timeout,
            first_seconds=defaults.first_timeout,
            total_seconds=defaults.total_timeout,
        ),
        retries=RetryRule(tries=2),
        concurrency=max(AT_ONCE),
        profiles=profiles,
        server=server,
    )
    sent, answered = cost(longest)
    _tell(f"checking {url}: about {sent:,} tokens in prompts and at most {answered:,} in answers")
    probe = Probe(endpoint, longest, lambda what: _tell(f"asking for {what}"))
    try:
        asyncio.run(_run(probe, endpoint, server))
    except NetwrightError as error:
        probe.problem = str(error)
    except KeyboardInterrupt:
        _tell("interrupted; what was found so far is kept")
        _print_found(probe, endpoint, profiles, json=json)
        return 130
    _print_found(probe, endpoint, profiles, json=json)
    return 2 if probe.problem else 0


def _server(home: Path, url: str, model: str | None, headers: Mapping[str, str], options: Sequence[str]) -> ModelServer:
    """The server of a model that is to be served. Raises: ConfigError where it cannot be."""
    url = settled(url, Path.cwd())
    given = {"url": url, "model": model, "headers": headers or None, "serve_options": tuple(options)}
    config = load_config(None, {f"llm.{name}": value for name, value in given.items()})
    check_local_model(url)
    return model_server(
        url,
        options,
        device=config.training.execution().device,
        start_seconds=config.llm.start_timeout,
        environment=os.environ,
        folder=home / PROFILES,
        tell=_now_and_then(),
    )


def _now_and_then() -> Callable[[str], None]:
    """Tell of what goes along quickly every few seconds only."""
    told = -math.inf

    def tell(words: str) -> None:
        nonlocal told
        if words and time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            _tell(words)

    return tell


async def _run(probe: Probe, endpoint: Endpoint, server: ModelServer | None) -> None:
    async with endpoint:
        if server is not None:
            await server.up()
        await probe.run()


def _print_found(probe: Probe, endpoint: Endpoint, profiles: ProfileStore, *, json: bool) -> None:
    profile = endpoint.known.current
    path = profiles.path(profile.url, profile.model) if profile else None
    if json:
        print_json(
            {
                "url": endpoint.url,
                "model": profile.model if profile else None,
                "usable": not probe.problem,
                "problem": probe.problem,
                "findings": probe.findings,
                "profile": profile,
                "profile_path": str(path) if path else None,
            }
        )
        return
    out.print(findings_table([*probe.findings, *_verdict(probe)]))
    if path:
        say(f"remembered in {path}")


def _verdict(probe: Probe) -> list[Finding]:
    if probe.problem:
        return [Finding("for campaigns", "not usable", probe.problem, vital=True)]
    return [Finding("for campaigns", "usable")]


def _tell(sentence: str) -> None:
    err.print(Text(sentence), soft_wrap=True)
