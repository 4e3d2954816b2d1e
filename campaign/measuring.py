"""Measuring candidates in use: files, remembered ones, baselines, or the finalists of a campaign."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from netwright.campaign.laboratories import open_laboratory
from netwright.campaign.opening import check_own, executed_as, open_sandbox, task_of
from netwright.campaign.single import read_candidate
from netwright.config import CampaignConfig, SandboxConfig, TrainingConfig
from netwright.config_file import laid_over, training_settings
from netwright.errors import ConfigError
from netwright.evaluator.baselines import baselines_for, named_baselines
from netwright.evaluator.devices import Execution
from netwright.evaluator.measurement import machine_name
from netwright.evaluator.tasks import AnyTask, load_task
from netwright.measures import Measures
from netwright.memory.query import top
from netwright.memory.store import Memory
from netwright.types import Candidate

Progress = Callable[[int, int, str], None]
"""Called with (finished, all, what is measured now)."""
DEFAULT_TASK = "bytes"


@dataclass(frozen=True)
class Measured:
    """A candidate with its measures."""

    candidate: Candidate
    measures: Measures


@dataclass(frozen=True)
class _Place:
    """Where candidates are measured: a task, what confines them, and the campaign that both were taken from."""

    task: AnyTask
    sandbox: SandboxConfig
    execution: Execution
    campaign: str | None


def measure_candidates(
    home: Path,
    wanted: Sequence[str],
    *,
    task_name: str | None,
    data: Path | None,
    campaign_name: str | None,
    sandbox_flags: Mapping[str, Any],
    training_flags: Mapping[str, Any] = MappingProxyType({}),
    again: bool,
    on_progress: Progress,
) -> tuple[Measured, ...]:
    """Measure what is `wanted`, files, names of baselines or ids; by default a campaign's designs at its highest rung.

    The task is `task_name` (then all its baselines are the default), else that of the campaign (default: the latest),
    else `bytes`. Candidates come one after the other, so that they do not disturb each other; what this machine has
    measured before is not measured again unless `again`.

    Raises: NetwrightError; KeyboardInterrupt with everything finished remembered.
    """
    with Memory.open(home) as memory:
        place = _place(memory, task_name, data, campaign_name, sandbox_flags, training_flags)
        candidates = [_find(memory, place.task, each) for each in wanted] or _finalists(memory, place)
        machine, spec = machine_name(place.execution.name), place.task.spec
        before = [] if again else memory.measures(spec.id, machine=machine)
        known = {each.candidate_id: each for each in before if each.inference}
        if missing := [candidate for candidate in candidates if candidate.id not in known]:
            memory.put_task(spec)
            with open_sandbox(place.sandbox, slots=1, execution=place.execution) as sandbox:
                lab = open_laboratory(
                    sandbox, place.task, memory, limits=place.sandbox.limits, execution=place.execution
                )
                for number, candidate in enumerate(missing, start=1):
                    on_progress(-1, len(missing), candidate.title)
                    known[candidate.id] = lab.measure(candidate)
                    memory.put_candidate(candidate)
                    memory.put_measures(known[candidate.id])
                    on_progress(number, len(missing), candidate.title)
        return tuple(Measured(candidate, known[candidate.id]) for candidate in candidates)


def _place(
    memory: Memory,
    task_name: str | None,
    data: Path | None,
    campaign_name: str | None,
    flags: Mapping[str, Any],
    training_flags: Mapping[str, Any],
) -> _Place:
    if task_name is not None and campaign_name is not None:
        raise ConfigError("--task and --campaign both say on which task to measure: give one of them")
    if task_name is not None or (campaign_name is None and not memory.campaigns()):
        execution = training_settings(TrainingConfig(), training_flags).execution()
        task = load_task(task_name or DEFAULT_TASK, data=data, execution=execution)
        return _Place(task, laid_over(SandboxConfig(), flags), execution, None)
    row = memory.campaign(campaign_name)
    check_own(row)
    config = CampaignConfig.model_validate(row.config)
    execution = executed_as(row, config.training, training_flags)
    task = task_of(config, execution, data)
    if task.spec.id != row.task.id:
        raise ConfigError(
            f"campaign {row.name!r} is on {row.task.id}, and its data make {task.spec.id} now: restore them, or name a "
            "task with --task"
        )
    return _Place(task, laid_over(config.sandbox, flags), execution, row.name)


def _find(memory: Memory, task: AnyTask, wanted: str) -> Candidate:
    """The candidate in a file, the baseline of a name, or the one with an id that begins so."""
    path = Path(wanted)
    if path.suffix == ".py" or path.is_file():
        return read_candidate(path, task.spec.scope)
    named = named_baselines(task.spec).get(wanted)
    candidate = named or memory.candidate(wanted)
    if candidate.scope is not task.spec.scope:
        raise ConfigError(
            f"{wanted} is a candidate of scope {candidate.scope.value}, and task {task.spec.name!r} takes "
            f"{task.spec.scope.value}: name its task with --task"
        )
    return candidate


def _finalists(memory: Memory, place: _Place) -> list[Candidate]:
    """What a campaign, or else the baselines of a task, trained at its highest rung."""
    if place.campaign is None:
        return list(baselines_for(place.task.spec, "all"))
    rows = top(memory, campaign=place.campaign, limit=None)
    highest = max((row.rung for row in rows), default=0)
    if not rows:
        raise ConfigError(f"campaign {place.campaign!r} has trained nothing yet: name files or baselines to measure")
    return [memory.candidate(row.candidate_id) for row in rows if row.rung == highest]
