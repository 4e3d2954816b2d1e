"""The estimate of a campaign with models, from what the memory has of earlier ones; nobody is asked."""

from __future__ import annotations

from pathlib import Path

from netwright.agents.profile import Profile, ProfileStore
from netwright.campaign.estimate import Calls, Estimate, estimate
from netwright.campaign.rehearsal import rehearsed
from netwright.campaign.roles import PROFILES
from netwright.campaign.scheduler import BASELINE_SEEDS, FINAL_BASELINES, FINAL_DESIGNS
from netwright.config import CampaignConfig
from netwright.errors import NotFound
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.protocol import prices
from netwright.llm_config import RoleConfig
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
    calls = [
        (_remembered(memory, config, spec, role) if memory else None) or _imagined(home, config, role, *sizes)
        for role, sizes in rehearsed(config, spec).items()
    ]
    pace = training_pace(memory, spec.id) if memory else None
    at_once = config.llm.concurrency or (profile.parallel if profile else None) or 1
    return estimate(
        config, calls, at_once=at_once, training_seconds=None if pace is None else pace * _trainings(config, spec)
    )


def _remembered(memory: Memory, config: CampaignConfig, spec: TaskSpec, role: str) -> Calls | None:
    """What earlier campaigns say: those on the same task, or else on any."""
    model = config.llm.asked_by(role).model
    for task_id in (spec.id, None):
        habit = memory.call_habit(role, model, task_id)
        if habit is not None:
            return Calls(
                role=role,
                model=model or "the only model",
                per_candidate=habit.per_candidate,
                prompt_tokens=habit.prompt_tokens,
                completion_tokens=habit.completion_tokens,
                seconds=habit.seconds,
                like=habit.calls,
                same_task=task_id is not None,
            )
    return None


def _imagined(home: Path, config: CampaignConfig, role: str, prompt_tokens: int, answer_tokens: int) -> Calls:
    """One call for each candidate, as long as it may be, at the speed that a check of the endpoint found, if any."""
    asked = config.llm.asked_by(role)
    profile = _profile(home, asked)
    seconds = None
    if profile is not None and profile.tokens_per_second:
        seconds = (profile.first_token_seconds or 0.0) + answer_tokens / profile.tokens_per_second
    return Calls(role, asked.model or "the only model", 1.0, prompt_tokens, answer_tokens, seconds)


def _profile(home: Path, asked: RoleConfig) -> Profile | None:
    """What is known of the endpoint; None where no model is named, as nobody is asked which one it has."""
    return ProfileStore(home / PROFILES).find(asked.url, asked.model) if asked.url and asked.model else None


def _trainings(config: CampaignConfig, spec: TaskSpec) -> float:
    """How many trainings at the lowest rung the whole takes of each slot: baselines, candidates, finalists."""
    baselines = len(BASELINE_SEEDS) * len(baselines_for(spec, config.baselines))
    finals = (FINAL_DESIGNS + FINAL_BASELINES) * prices(spec)[-1]
    return (baselines + config.budget.trials + finals) / config.workers
