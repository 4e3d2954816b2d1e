"""Who proposes and who comments in a campaign, and the endpoint that they ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.agents.base import Critic, Ledger, Planner
from netwright.campaign.board import Board, Writing
from netwright.config import LlmConfig
from netwright.errors import ConfigError

if TYPE_CHECKING:
    from netwright.agents.chat import Progress
    from netwright.agents.endpoint import Endpoint

PROFILES = "endpoints"
"""Under the home: what is known of endpoints, a JSON file for each URL and model."""


@dataclass(frozen=True)
class Agents:
    """Who proposes and who comments; `endpoint` is what they ask, None where nobody asks anything."""

    planner: Planner
    critic: Critic | None = None
    endpoint: Endpoint | None = None


def header_values(headers: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The headers with their values, for each of which the name of an environment variable is given.

    Raises: ConfigError naming a header whose variable is not set.
    """
    for name, variable in headers.items():
        if not environment.get(variable):
            # What was given is not repeated: it may be the secret itself.
            raise ConfigError(
                f"header {name!r}: expected the name of an environment variable that is set and holds its value"
            )
    return {name: environment[variable] for name, variable in headers.items()}


def make_agents(config: LlmConfig, ledger: Ledger, environment: Mapping[str, str], home: Path, board: Board) -> Agents:
    """The grammar planner, or, where there is an endpoint, the planner and the critic that ask it.

    The endpoint's key is taken from `environment`; its profile lies under `home`; `board` shows what it writes.
    """
    if config.url is None:
        from netwright.agents.grammar_planner import GrammarPlanner

        return Agents(GrammarPlanner())
    from netwright.agents.endpoint import Endpoint
    from netwright.agents.llm_critic import LlmCritic
    from netwright.agents.llm_planner import LlmPlanner
    from netwright.agents.profile import ProfileStore
    from netwright.agents.retrying import RetryRule
    from netwright.agents.transport import Timeouts

    endpoint = Endpoint(
        config.url,
        config.model,
        environment.get(config.api_key_env),
        timeouts=Timeouts(
            connect_seconds=config.connect_timeout,
            first_seconds=config.first_timeout,
            total_seconds=config.total_timeout,
        ),
        retries=RetryRule(tries=config.tries),
        concurrency=config.concurrency,
        profiles=ProfileStore(home / PROFILES),
        on_progress=lambda progress: _show(board, progress),
    )
    planner = LlmPlanner(endpoint, ledger, temperature=config.temperature, max_tokens=config.max_tokens)
    return Agents(planner, LlmCritic(endpoint, ledger), endpoint)


async def warm_up(endpoint: Endpoint, board: Board) -> None:
    """Ask for a first token, which takes long where the model has to be loaded for it.

    Raises: ConfigError, ProviderError as `Endpoint.verify` does.
    """
    board.phase = f"waiting for a first token from {endpoint.url}, which may take minutes while it loads the model"
    reply = await endpoint.verify()
    board.news.append(f"{reply.model} at {endpoint.url} gave its first token after {reply.seconds:.1f} s")
    board.phase = "starting"


def _show(board: Board, progress: Progress) -> None:
    if progress.ended:
        board.writing.pop(progress.request, None)
    else:
        board.writing[progress.request] = Writing(progress.role, progress.tokens, progress.seconds)
