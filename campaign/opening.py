"""Putting a campaign together: memory, laboratory, planner, search; one process per campaign at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from netwright.agents.local_model import check_local_model
from netwright.campaign import experience
from netwright.campaign.board import Board
from netwright.config import CampaignConfig, SandboxConfig, TrainingConfig
from netwright.config_file import training_settings
from netwright.errors import BusyError, ConfigError, StoreError
from netwright.evaluator.baselines import baselines_for
from netwright.evaluator.devices import ON_CPU, Execution
from netwright.evaluator.laboratory import Laboratory
from netwright.evaluator.tasks import AnyTask, load_task
from netwright.llm_config import LlmConfig
from netwright.memory.records import Campaign
from netwright.memory.store import Memory
from netwright.sandbox.container import Container
from netwright.sandbox.isolation import RECIPES, IsolationReport, Tier, probe
from netwright.sandbox.runner import Sandbox
from netwright.types import PROTOCOL_NAMES, Scope, TaskSpec


def open_sandbox(config: SandboxConfig, *, slots: int, one_job: bool = False, execution: Execution = ON_CPU) -> Sandbox:
    """A sandbox for a laboratory, to be entered with `with`; for `one_job` nothing is made ready for a second.

    Where no sandbox is accepted, a machine that cannot isolate runs candidates with resource limits only; one that
    can isolate still does, unless T0 is asked for by name.
    """
    tier, device = config.tier, execution.device
    if tier is None and config.accept_no_sandbox and config.kind == "process" and probe(device).tier is Tier.T0:
        tier = Tier.T0
    warm_child = Laboratory.WARM_CUDA_CHILD if device == "cuda" else Laboratory.WARM_CHILD
    container = None if config.kind == "process" else Container(config.kind, config.image, config.options)
    return Sandbox(
        slots=slots,
        spares=0 if one_job else None,
        entries=Laboratory.ENTRIES,
        warm_zygote=Laboratory.WARM_ZYGOTE,
        warm_child=None if one_job else warm_child,
        isolation=tier,
        device=device,
        gpu=execution.index,
        container=container,
    )


def confinement(config: SandboxConfig, report: IsolationReport) -> tuple[Tier, str]:
    """The tier that `config` leads to where `report` was made, and its layers in one line."""
    tier = config.tier or report.tier
    if tier is Tier.T0:
        return tier, "resource limits only, candidate code is NOT isolated"
    where = "" if config.kind == "process" else f"in {config.kind} ({config.image}): "
    # The report is of the best tier: a layer that a lower one does without is there and yet not used.
    unused = {name.replace("_", " ") for name, used in asdict(RECIPES[tier]).items() if used is False}
    return tier, where + ", ".join(name for name, enforced, _ in report.layers if enforced and name not in unused)


@contextmanager
def exclusive(home: Path, name: str, *, doing: str = "run") -> Iterator[None]:
    """Hold campaign `name` of this home for being `doing`. The lock goes with the process, however it ends.

    Raises: BusyError; StoreError when the home cannot be written.
    """
    path = _lock_file(home, name, doing)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    except OSError as error:
        raise StoreError(f"cannot write to {home}: {error.strerror}; choose another place with --home DIR") from None
    with handle:
        if not _locked(handle):
            raise BusyError(
                f"campaign {name!r} is being {doing} by another process; wait for it, watch it with "
                f"`netwright watch {name}`, or start another with --name"
            )
        yield


def is_running(home: Path, name: str) -> bool:
    """Whether some process holds campaign `name` now, whatever the memory says of it."""
    try:
        with _lock_file(home, name, "run").open("r") as handle:
            return not _locked(handle)
    except OSError:
        return False


def _lock_file(home: Path, name: str, doing: str) -> Path:
    return home / "locks" / f"{name}.{doing}.lock"


def _locked(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def task_of(config: CampaignConfig, execution: Execution, data: Path | None = None) -> AnyTask:
    """The task or suite that a campaign is on, with its budgets; `data` is where its data lies now, if elsewhere.

    Raises: ConfigError, DataError as `load_task` does.
    """
    return load_task(
        config.task,
        data=data or config.data,
        rung_tokens=config.rung_tokens,
        protocol=config.protocol,
        execution=execution,
    )


def settled(training: TrainingConfig, execution: Execution) -> TrainingConfig:
    """The settings with what `auto` came to, so that whoever goes on does so on the same device."""
    device = execution.device if training.device == "auto" else training.device
    return training.model_copy(update={"device": device, "precision": execution.precision})


def as_begun(row: Campaign, training: TrainingConfig) -> TrainingConfig:
    """The settings of a campaign, where `auto` is what it came to when the campaign began."""
    before = {"device": row.task.device, "precision": row.task.precision}
    return training.model_copy(update={key: was for key, was in before.items() if getattr(training, key) == "auto"})


def executed_as(row: Campaign, training: TrainingConfig, flags: Mapping[str, Any]) -> Execution:
    """How a finished campaign's candidates are to be trained once more: as they were, with `flags` over it.

    Raises: ConfigError where its device cannot be had, or the flags name another kind of device or precision.
    """
    execution = training_settings(as_begun(row, training), flags).execution()
    for what, was in (("device", row.task.device), ("precision", row.task.precision)):
        if was != getattr(execution, what):
            raise ConfigError(
                f"campaign {row.name!r} was trained with {what} {was}, and not {getattr(execution, what)}: their "
                f"results would not compare; leave --{what} out, or run a campaign with it"
            )
    return execution


def check_own(row: Campaign) -> None:
    """Raise ConfigError where the campaign came from a memory that draws held-out data with another key."""
    if row.task.drawn_in:
        raise ConfigError(
            f"campaign {row.name!r} came from another memory, whose held-out data is not drawn here: continue, confirm "
            f"and measure it in its own home; a new campaign here can start from it (`warm` in `[search]`)"
        )


def begin_or_continue(memory: Memory, config: CampaignConfig, task: AnyTask) -> Campaign:
    """The campaign of that name: a new one, or the known one if what it compares is unchanged.

    Its `config` says how many actions are in flight, from which earlier campaigns the search starts, how long prompts
    may be and how files are asked for: all stay as they began, so that another number of slots, or what others found or
    a check measured meanwhile, does not change the experiments.

    Raises: ConfigError naming the setting in which the two differ, or a campaign to start from that does not exist.
    """
    name = config.campaign_name
    known = next((row for row in memory.campaigns() if row.name == name), None)
    stored = config.model_dump(mode="json") | {"in_flight": config.window}
    if known is None:
        if config.replay is None:
            stored["search"]["warm"] = experience.settled(memory, config, task.spec)
        return memory.start_campaign(name, task.spec, config.seed, stored)
    check_own(known)
    for what, before, now in (
        ("protocol", known.task.protocol, task.spec.protocol),
        ("device", known.task.device, task.spec.device),
        ("precision", known.task.precision, task.spec.precision),
        ("task or its data", known.task.id, task.spec.id),
        ("seed", known.seed, config.seed),
        ("search policy", known.config["search"]["policy"], config.search.policy),
        ("planner", _planner_kind(known.config["llm"]["url"]), _planner_kind(config.llm.url)),
        ("recording", known.config.get("replay"), config.replay),
    ):
        if before != now:
            raise ConfigError(
                f"campaign {name!r} was begun with another {what} ({before}, now {now}): its results would not "
                f"compare; give this one its own --name, or continue that one with `netwright resume {name}`"
            )
    stored["in_flight"] = known.config["in_flight"]
    before = LlmConfig.model_validate(known.config["llm"])
    stored["llm"] = config.llm.as_begun(before).model_dump(mode="json")
    # A campaign that an older netwright began started from nothing, and asked for whole files.
    stored["search"]["warm"] = known.config["search"].get("warm", {})
    stored["llm"]["answers"] = known.config["llm"].get("answers", "whole")
    return memory.update_campaign(known.id, status="running", note="", config=stored)


def check_planner(config: CampaignConfig, spec: TaskSpec) -> None:
    """Raise ConfigError where nobody could propose anything for the task, or its baselines are not known.

    A model that is to be served is looked for; a replay serves none.
    """
    if spec.scope is not Scope.MIXER and config.llm.url and config.llm.at_cap == "grammar":
        raise ConfigError(
            f"llm.at_cap: the grammar planner writes mixers, and task {spec.name!r} wants candidates of scope "
            f'{spec.scope.value}: set at_cap = "close"'
        )
    if not baselines_for(spec, config.baselines):
        raise ConfigError(
            f"task {spec.name!r} would have no baseline to compare with: name some with `baselines`, or take a task of "
            "scope mixer"
        )
    if spec.scope is not Scope.MIXER and config.llm.url is None:
        raise ConfigError(
            f"task {spec.name!r} wants candidates of scope {spec.scope.value}, and the grammar planner writes mixers: "
            "give an LLM with --llm URL --model NAME, or try a file of your own with `netwright evaluate`"
        )
    for url in config.llm.served if config.replay is None else ():
        check_local_model(url)


def _planner_kind(url: str | None) -> str:
    return "llm" if url else "grammar"


def open_board(row: Campaign, report: IsolationReport) -> Board:
    """The board of a campaign, with the time that earlier sessions took; its first news is what isolates."""
    config = CampaignConfig.model_validate(row.config)
    tier, layers = confinement(config.sandbox, report)
    board = Board(
        name=row.name,
        task=row.task,
        config=config,
        tier=tier.value,
        layers=layers,
        elapsed_before=row.elapsed_seconds,
    )
    board.news.append(f"isolation {tier}: {layers}")
    if (row.task.device, row.task.precision) != ("cpu", "float32"):
        board.news.append(f"trains on {row.task.device}, in {row.task.precision}, see docs/training.md")
    if row.task.protocol != "tokens":
        board.news.append(f"budgets: {PROTOCOL_NAMES[row.task.protocol]}, see docs/budgets.md")
    return board
