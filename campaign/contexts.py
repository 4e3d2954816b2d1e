"""How long the contexts of a campaign's models are, for prompts to fit them, and in what form they write files.

This is settled when a campaign begins and stays: whoever goes on later is asked the same questions, whatever a check
found meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwright.agents.context_text import least_tokens
from netwright.agents.edit_tasks import ABLE
from netwright.agents.local_model import is_local, stated_context
from netwright.agents.room import LEAST_ANSWER, WANTED_CONTEXT
from netwright.campaign.board import Board
from netwright.campaign.rehearsal import rehearsed_context
from netwright.campaign.roles import open_endpoint, whom
from netwright.config import CampaignConfig
from netwright.errors import ConfigError
from netwright.llm_config import FILE_WRITERS, LLM_ROLES, LlmConfig, RoleConfig
from netwright.types import TaskSpec

if TYPE_CHECKING:
    from netwright.agents.profile import Profile


async def settled_contexts(config: LlmConfig, environment: Mapping[str, str], home: Path, board: Board) -> LlmConfig:
    """The settings with a context for every role: as given, else as a check found it, else what is enough.

    Where one of several models is drawn, questions fit the shortest: they are the same whoever is asked.
    Where it was left open how changed files are asked for, it is by edits if a check found all who write files able to.

    Raises: ConfigError, ProviderError where no model is named and the endpoint does not offer exactly one.
    """
    profiles: dict[str, Profile] = {}

    async def profile(asked: RoleConfig) -> Profile:
        if whom(asked) not in profiles:
            async with open_endpoint(config, asked, environment, home, board) as endpoint:
                profiles[whom(asked)] = await endpoint.profile()
        return profiles[whom(asked)]

    async def length(asked: RoleConfig) -> int:
        return asked.context_tokens or (await profile(asked)).context_tokens or _unchecked(asked)

    settled: dict[str, Any] = {}
    for role in LLM_ROLES:
        own: RoleConfig = getattr(config, role)
        known = own.context_tokens or min([await length(asked) for asked in config.asked(role)])
        settled[role] = own.model_copy(update={"context_tokens": known})
    if config.answers == "auto":
        writers = [asked for role in FILE_WRITERS for asked in config.asked(role)]
        able = [((await profile(asked)).edits or 0.0) >= ABLE for asked in writers]
        settled["answers"] = "edits" if all(able) else "whole"
    return config.model_copy(update=settled)


def _unchecked(asked: RoleConfig) -> int:
    """WANTED_CONTEXT, or less where a model of our own says that it was made for less."""
    stated = stated_context(asked.url) if is_local(asked.url) else None
    return min(stated or WANTED_CONTEXT, WANTED_CONTEXT)


def check_contexts(llm: LlmConfig, config: CampaignConfig, spec: TaskSpec) -> None:
    """Raise ConfigError where a role's context, once settled, has no room for the task's shortest question."""
    needed = least_tokens(rehearsed_context(config, spec))
    for role in LLM_ROLES:
        asked = llm.of(role)
        names = " or ".join(each.model or "(the only one)" for each in llm.asked(role))
        if asked.context_tokens is not None and asked.context_tokens < needed:
            raise ConfigError(
                f"the {role}'s model {names} at {asked.url} has a context of "
                f"{asked.context_tokens:,} tokens, and task {spec.name!r} needs {needed:,} ({needed - LEAST_ANSWER:,} "
                f"to tell the task, the baselines and a parent's file, {LEAST_ANSWER:,} for an answer): load the model "
                f"with a larger one ({WANTED_CONTEXT:,} is enough; docs/endpoints.md says how), then "
                f"`netwright endpoint check {asked.url}`"
            )
