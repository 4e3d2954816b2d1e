"""The estimate of a campaign with models, from what the memory has of earlier ones; nobody is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from netwright.agents.profile import Profile, ProfileStore
from netwright.campaign.estimate import Calls, Estimate, estimate
from netwright.campaign.rehearsal import Rehearsed, rehearsed
from netwright.campaign.roles import PROFILES
from netwright.campaign.scheduler import BASELINE_SEEDS, FINAL_BASELINES, FINAL_DESIGNS
from netwright.config import CampaignConfig
from netwright.errors import NotFound
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.protocol import prices
from netwright.llm_config import LLM_ROLES, LlmRole, RoleConfig
from netwright.memory.overview import training_pace
from netwright.memory.store import Memory
from netwright.prompts import use_own
from netwright.types import TaskSpec


def forecast(home: Path, config: CampaignConfig, spec: TaskSpec) -> Estimate:
    """What the campaign may be expected to cost. `home` need not exist, and is not made.

    Raises: StoreError when there is a memory that cannot be read.
    """
    try:
        memory = Memory.open(home, create=False, read_only=True)
    except NotFound:
        return _forecast(home, config, spec, None)
    with memory:
        return _forecast(home, config, spec, memory)


def _forecast(home: Path, config: CampaignConfig, spec: TaskSpec, memory: Memory | None) -> Estimate:
    use_own(config.llm.prompts)
    profile = _profile(home, config.llm.of("planner"))
    heard = rehearsed(config, spec)
    calls = [
        (_remembered(memory, spec, role, asked) if memory else None) or _imagined(home, role, asked, heard[role])
        for role in LLM_ROLES
        if role in heard
        for asked in _whom(config, role)
    ]
    pace = training_pace(memory, spec.id) if memory else None
    at_once = config.llm.concurrency or (profile.parallel if profile else None) or 1
    return estimate(
        config, calls, at_once=at_once, training_seconds=None if pace is None else pace * _trainings(config, spec)
    )


class _Whom(NamedTuple):
    """Whom a role asks, and in what share of its calls."""

    asked: RoleConfig
    share: float


def _whom(config: CampaignConfig, role: LlmRole) -> list[_Whom]:
    """The model that a role asks; of those to draw from each, as often as the others."""
    asked = config.llm.asked(role)
    return [_Whom(each, 1.0 / len(asked)) for each in asked]


def _remembered(memory: Memory, spec: TaskSpec, role: str, whom: _Whom) -> Calls | None:
    """What earlier campaigns say: those on the same task, or else on any."""
    model = whom.asked.model
    for task_id in (spec.id, None):
        habit = memory.call_habit(role, model, task_id)
        if habit is not None:
            return Calls(
                role=role,
                model=model or "the only model",
                per_candidate=habit.per_candidate * whom.share,
                prompt_tokens=habit.prompt_tokens,
                completion_tokens=habit.completion_tokens,
                seconds=habit.seconds,
                like=habit.calls,
                same_task=task_id is not None,
            )
    return None


def _imagined(home: Path, role: str, whom: _Whom, heard: Sequence[Rehearsed]) -> Calls:
    """What was rehearsed for each candidate, at the speed that a check of the endpoint found, if any."""
    asked = whom.asked
    profile = _profile(home, asked)
    often = sum(each.often for each in heard)
    prompt_tokens = sum(each.often * each.prompt_tokens for each in heard) / often
    answer_tokens = sum(each.often * each.answer_tokens for each in heard) / often
    seconds = None
    if profile is not None and profile.tokens_per_second:
        seconds = (profile.first_token_seconds or 0.0) + answer_tokens / profile.tokens_per_second
    return Calls(role, asked.model or "the only model", often * whom.share, prompt_tokens, answer_tokens, seconds)


def _profile(home: Path, asked: RoleConfig) -> Profile | None:
    """What is known of the endpoint; None where no model is named, as nobody is asked which one it has."""
    return ProfileStore(home / PROFILES).find(asked.url, asked.model) if asked.url and asked.model else None


def _trainings(config: CampaignConfig, spec: TaskSpec) -> float:
    """How many trainings at the lowest rung the whole takes of each slot: baselines, candidates, finalists."""
    baselines = len(BASELINE_SEEDS) * len(baselines_for(spec, config.baselines))
    finals = (FINAL_DESIGNS + FINAL_BASELINES) * prices(spec)[-1]
    return (baselines + config.budget.trials + finals) / config.workers
