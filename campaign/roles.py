"""Who proposes and who comments in a campaign, and the endpoint that they ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.agents.base import Correspondent, Ledger, Purse, Team
from netwright.agents.local_model import is_local
from netwright.campaign.board import Board, Writing
from netwright.campaign.serving import Park, served
from netwright.errors import ConfigError
from netwright.llm_config import KEY_VARIABLE, LLM_ROLES, LlmConfig, RoleConfig

if TYPE_CHECKING:
    from netwright.agents.chat import Progress
    from netwright.agents.endpoint import Endpoint
    from netwright.agents.replaying import Records

PROFILES = "endpoints"
"""Under the home: what is known of endpoints, a JSON file for each URL and model."""


@dataclass(frozen=True)
class Agents:
    """Who does what; `endpoints` are whom they ask, none where nobody asks anything.

    `training_turn` is to be held by trainings where a model shares their device.
    """

    team: Team
    endpoints: tuple[Endpoint, ...] = ()
    training_turn: Callable[[], AbstractAsyncContextManager[None]] | None = None


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


def key_value(variable: str | None, environment: Mapping[str, str]) -> str | None:
    """The key in `variable`; none where it is not set, which local servers do not mind.

    Raises: ConfigError where somebody named the variable and it is not set.
    """
    if variable is not None and variable != KEY_VARIABLE and not environment.get(variable):
        raise ConfigError(f"the key is to come from the environment variable {variable!r}, which is not set: set it")
    return environment.get(variable or "") or None


def make_agents(
    config: LlmConfig,
    ledger: Ledger,
    environment: Mapping[str, str],
    home: Path,
    board: Board,
    purse: Purse | None = None,
    records: Records | None = None,
) -> Agents:
    """The grammar planner alone, or, where there is an endpoint, roles that ask it, or one each.

    Keys and values of headers are taken from `environment`; profiles lie under `home`; `board` shows what is written,
    and what `purse` has no room for is not asked. With `records` no endpoint is: they hold every answer.

    Raises: ConfigError naming a variable that is not set.
    """
    if config.url is None:
        from netwright.agents.grammar_planner import GrammarPlanner

        grammar = GrammarPlanner()
        return Agents(Team(planner=grammar, repairer=grammar))
    from netwright.agents.llm_coder import LlmCoder
    from netwright.agents.llm_critic import LlmCritic
    from netwright.agents.llm_librarian import LlmLibrarian
    from netwright.agents.llm_planner import LlmPlanner
    from netwright.agents.llm_repairer import LlmRepairer
    from netwright.agents.replaying import RecordedEndpoint
    from netwright.campaign.ensemble import Drawn
    from netwright.campaign.purse import or_grammar

    # Roles that ask the same share an endpoint: what one learns of it, and how much it bears, holds for all.
    endpoints: dict[str, Endpoint] = {}
    park = Park(board) if config.park and records is None else None

    def endpoint(asked: RoleConfig) -> Correspondent:
        if records is not None:
            return RecordedEndpoint(records, asked.model)
        key = whom(asked)
        if key not in endpoints:
            endpoints[key] = open_endpoint(config, asked, environment, home, board, purse, park)
        return endpoints[key]

    models = config.drawn()
    drawn = Drawn({name: endpoint(asked) for name, asked in models.items()}, models)
    roles = {role: config.of(role) for role in LLM_ROLES}
    asking = {role: (drawn if config.draws(role) else endpoint(asked), ledger) for role, asked in roles.items()}
    edits = config.answers == "edits"
    team = Team(
        planner=LlmPlanner(*asking["planner"], plans=config.plans, **manner(roles["planner"])),
        coder=LlmCoder(*asking["coder"], edits=edits, **manner(roles["coder"])),
        repairer=LlmRepairer(*asking["repairer"], edits=edits, **manner(roles["repairer"])),
        critic=LlmCritic(*asking["critic"], **manner(roles["critic"])),
        librarian=LlmLibrarian(*asking["librarian"], **manner(roles["librarian"])),
    )
    if config.at_cap == "grammar":
        team = or_grammar(team, board)
    return Agents(team, tuple(endpoints.values()), park.turns.training if park else None)


def whom(role: RoleConfig) -> str:
    """Whom a role asks: the same text for the same endpoint, model, key and headers."""
    return role.model_dump_json(
        exclude={"temperature", "max_tokens", "context_tokens", "price_prompt", "price_completion"}
    )


def manner(role: RoleConfig) -> dict[str, Any]:
    """How a role asks, where that differs from its own defaults."""
    return role.model_dump(include={"temperature", "max_tokens", "context_tokens"}, exclude_none=True)


def open_endpoint(
    config: LlmConfig,
    role: RoleConfig,
    environment: Mapping[str, str],
    home: Path,
    board: Board,
    purse: Purse | None = None,
    park: Park | None = None,
) -> Endpoint:
    """The endpoint that `role` asks, to be closed. Raises: ConfigError naming a variable that is not set."""
    from netwright.agents.endpoint import Endpoint
    from netwright.agents.profile import ProfileStore
    from netwright.agents.retrying import RetryRule
    from netwright.agents.transport import Timeouts

    assert role.url is not None
    server = served(role, config.start_timeout, environment, home / PROFILES, board) if is_local(role.url) else None
    if server is not None and park is not None:
        park.add(server)
    return Endpoint(
        server.url if server else role.url,
        role.model,
        # A server of ours wants none, and is told no secret that it does not need.
        None if server else key_value(role.api_key_env, environment),
        headers=header_values(role.headers or {}, environment),
        timeouts=Timeouts(
            connect_seconds=config.connect_timeout,
            first_seconds=config.first_timeout,
            total_seconds=config.total_timeout,
        ),
        retries=RetryRule(tries=config.tries),
        concurrency=config.concurrency,
        profiles=ProfileStore(home / PROFILES),
        on_progress=lambda progress: _show(board, progress),
        purse=purse,
        server=server,
        turn=park.turns.asking if server and park else None,
    )


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
        board.writing.pop((progress.role, progress.request), None)
    else:
        board.writing[progress.role, progress.request] = Writing(progress.role, progress.tokens, progress.seconds)
