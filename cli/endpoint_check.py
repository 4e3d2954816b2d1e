"""What `endpoint check` does and prints."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from rich.text import Text

from netwright.agents.endpoint import Endpoint
from netwright.agents.probe import Probe
from netwright.agents.probe_questions import AT_ONCE, cost
from netwright.agents.profile import ProfileStore
from netwright.agents.retrying import RetryRule
from netwright.agents.transport import Timeouts
from netwright.campaign.roles import PROFILES, header_values, key_value
from netwright.cli.output import err, findings_table, out, print_json, say
from netwright.errors import NetwrightError
from netwright.llm_config import KEY_VARIABLE, LlmConfig
from netwright.types import Finding


def print_check(
    home: Path,
    url: str,
    model: str | None,
    *,
    key_env: str | None,
    headers: Mapping[str, str],
    longest: int | None,
    json: bool,
) -> int:
    """Ask, and print what was found; 0 when a campaign can use the endpoint, 2 when not, 130 when interrupted."""
    profiles = ProfileStore(home / PROFILES)
    defaults = LlmConfig()
    endpoint = Endpoint(
        url,
        model,
        key_value(key_env or KEY_VARIABLE, os.environ),
        headers=header_values(headers, os.environ),
        timeouts=Timeouts(
            connect_seconds=defaults.connect_timeout,
            first_seconds=defaults.first_timeout,
            total_seconds=defaults.total_timeout,
        ),
        retries=RetryRule(tries=2),
        concurrency=max(AT_ONCE),
        profiles=profiles,
    )
    sent, answered = cost(longest)
    _tell(f"checking {endpoint.url}: about {sent:,} tokens in prompts and at most {answered:,} in answers")
    probe = Probe(endpoint, longest, lambda what: _tell(f"asking for {what}"))
    try:
        asyncio.run(_run(probe, endpoint))
    except NetwrightError as error:
        probe.problem = str(error)
    except KeyboardInterrupt:
        _tell("interrupted; what was found so far is kept")
        _print_found(probe, endpoint, profiles, json=json)
        return 130
    _print_found(probe, endpoint, profiles, json=json)
    return 2 if probe.problem else 0


async def _run(probe: Probe, endpoint: Endpoint) -> None:
    async with endpoint:
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
