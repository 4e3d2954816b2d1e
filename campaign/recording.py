"""A campaign as the memory recorded it, for another one to repeat it word for word, without its endpoint.

The repetition takes the recorded choices of the search, each once it knows what was known then, and gets the recorded
replies, also those that were failures. Gates and trainings are found in the memory, or carried out again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netwright.campaign.opening import as_begun, check_own
from netwright.config import CampaignConfig
from netwright.config_file import laid_over, training_settings, with_flags
from netwright.errors import ConfigError, ReplayError
from netwright.memory.records import Campaign
from netwright.memory.store import Memory
from netwright.types import Action, LlmCall, TaskSpec


@dataclass(frozen=True)
class Recording:
    """What a campaign did: its finished actions, and the order in which the search was told their results."""

    source: Campaign
    actions: tuple[Action, ...]
    order: tuple[int, ...]


def recording(memory: Memory, name: str, task: TaskSpec) -> Recording:
    """The campaign `name`, for a repetition on `task`.

    Raises:
        NotFound: there is no such campaign.
        ReplayError: it was on another task, or its data was.
    """
    source = memory.campaign(name)
    check_own(source)
    if source.task.id != task.id:
        raise ReplayError(
            f"campaign {name!r} was on task {source.task.id}, which here is {task.id}: its data or device is another "
            "one; name the data that it had with --data"
        )
    order = tuple(known.action.index for known in memory.experiments(source.id) if known.action is not None)
    actions = tuple(logged.action for logged in memory.actions(source.id) if logged.state == "done")
    return Recording(source, actions, order)


def replay_config(
    memory: Memory, name: str, flags: Mapping[str, Any], sandbox: Mapping[str, Any], training: Mapping[str, Any]
) -> CampaignConfig:
    """The configuration of a repetition of campaign `name`: as it was begun, with `flags` over it.

    `flags` may be the name, the slots and where the data lies now; a value of None means it was not given.

    Raises:
        NotFound: there is no such campaign.
        ConfigError: it asked no model, or a flag is wrong.
    """
    source = memory.campaign(name)
    config = CampaignConfig.model_validate(source.config)
    if config.replay is not None:
        return replay_config(memory, config.replay, flags, sandbox, training)
    if config.llm.url is None:
        raise ConfigError(
            f"campaign {name!r} asked no model, so there is nothing to replay: the same settings and seed repeat it, "
            "under another --name"
        )
    given = {key: value for key, value in flags.items() if value is not None}
    config = with_flags(config, {"name": f"{source.name}-replay", **given, "replay": source.name, "review": False})
    if config.name == source.name:
        raise ConfigError(f"--name {source.name}: that is the recorded campaign itself; give its repetition another")
    settings = {
        "sandbox": laid_over(config.sandbox, sandbox),
        "training": training_settings(as_begun(source, config.training), training),
    }
    return config.model_copy(update=settings)


class MemoryRecords:
    """Implements `Records`: the calls of a recorded campaign; what is used is noted as a call of the repetition."""

    def __init__(self, memory: Memory, source: Campaign, campaign_id: int) -> None:
        self._memory = memory
        self._source = source
        self._campaign_id = campaign_id
        self.name = source.name
        self.capped = bool(CampaignConfig.model_validate(source.config).budget.caps)

    def find(self, key: str) -> LlmCall | None:
        """See `Records`."""
        call = self._memory.recorded_llm_call(self._source.id, key)
        if call is not None:
            self._memory.put_replayed_call(self._campaign_id, call)
        return call

    def models(self) -> Sequence[str]:
        """See `Records`."""
        return self._memory.llm_models(self._source.id)

    def alike(self, role: str, tag: str) -> Sequence[LlmCall]:
        """See `Records`."""
        return self._memory.llm_calls(self._source.id, role=role, tag=tag)
