"""Exporting a design: find it and the weights that it was trained to, write the folder, try it out, keep it whole."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from netwright.campaign.laboratories import open_laboratory
from netwright.campaign.opening import open_sandbox, task_of
from netwright.campaign.single import check_rung, gates_of, read_candidate
from netwright.config import CampaignConfig, SandboxConfig, TrainingConfig
from netwright.config_file import training_settings
from netwright.errors import ConfigError, ExportError
from netwright.evaluator.answering import answers_of, random_rows
from netwright.evaluator.baselines import baseline
from netwright.evaluator.contract import recipe_of, scaled
from netwright.evaluator.devices import ON_CPU, Execution
from netwright.evaluator.suite import AnyLaboratory
from netwright.evaluator.tasks import AnyTask, Suite, load_task
from netwright.evaluator.trial import TrialEnded
from netwright.export.card import card
from netwright.export.folders import Files, hf_files, torch_files
from netwright.export.package import Package
from netwright.export.trying import ROWS, Tried, Work, sheets_of, to_onnx, try_out
from netwright.memory.store import Memory
from netwright.sandbox.isolation import Tier
from netwright.sandbox.runner import Sandbox
from netwright.types import Candidate, GateReport, Scope, Split, TaskSpec, Trial, TrialStatus

Progress = Callable[[int, int, str], None]
"""Called with (finished, all, what is done now)."""
Format = Literal["torch", "hf", "onnx"]
FORMATS: tuple[Format, ...] = ("torch", "hf", "onnx")
DEFAULT_TASK = "bytes"
STEPS = 3
"""Of an export, for who watches: weights, the answers that count, the folder."""
ONNX_MODULES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be exported: a file, the name of a baseline or an id, and which of its trainings.

    `task` is a name or an id, None for that of its best training; `rung` and `seed` are None for the best.
    """

    what: str
    task: str | None = None
    data: Path | None = None
    rung: int | None = None
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, from which training, and how near its answers are; or why the design was `rejected`."""

    folder: Path
    kind: Format
    candidate: Candidate
    task_id: str
    trial: Trial | None = None
    tried: Tried | None = None
    trained_now: bool = False
    rejected: GateReport | None = None


def export_design(
    home: Path,
    wanted: Wanted,
    *,
    kind: Format,
    folder: Path,
    sandbox_config: SandboxConfig,
    training_flags: Mapping[str, Any] = MappingProxyType({}),
    on_progress: Progress,
) -> Exported:
    """Write the design as a folder of that format, once it has answered in a clean process as it was scored.

    Weights are those of its best training that kept them: the highest rung, then the lowest validation loss. Where
    none was kept, the best known training is done again, or, of a design without any, one at rung 0.

    Raises:
        ConfigError, NotFound: there is no such design, task, rung or format for it, or the folder is in use.
        ExportError: it cannot be trained, translated or loaded, or answers otherwise.
    """
    _check_place(folder)
    if kind == "onnx":
        _check_onnx()
    with Memory.open(home) as memory:
        candidate = _find(memory, wanted.what)
        fitting = [trial for trial in memory.trials(candidate_id=candidate.id) if _fits(memory, trial, wanted)]
        kept = best_training([trial for trial in fitting if trial.weights and _is_kept(memory, trial.weights)])
        known = kept or best_training(fitting)
        execution = ON_CPU if kept else _execution(memory, known, training_flags)
        with open_sandbox(sandbox_config, slots=1, one_job=True, execution=execution) as sandbox:
            if kept is not None and kept.weights:
                spec, trial, weights = memory.task(kept.task_id), kept, memory.artifacts.weights(kept.weights)
            else:
                task = _task(memory, known, wanted, execution)
                lab = open_laboratory(sandbox, task, memory, limits=sandbox_config.limits, execution=execution)
                candidate, spec = candidate.model_copy(update={"scope": task.spec.scope}), task.spec
                if rejected := _rejection(memory, lab, candidate):
                    return Exported(folder=folder, kind=kind, candidate=candidate, task_id=spec.id, rejected=rejected)
                trial, weights = _train(memory, lab, candidate, known, wanted, on_progress)
            package = _package(memory, candidate, spec, trial, weights)
            tried = _written(package, kind, folder, sandbox, sandbox_config, on_progress)
    return Exported(
        folder=folder,
        kind=kind,
        candidate=candidate,
        task_id=spec.id,
        trial=trial,
        tried=tried,
        trained_now=kept is None,
    )


def best_training(trials: Sequence[Trial]) -> Trial | None:
    """Return the training of the highest rung, of the validation split where there is one, with the lowest loss.

    The test split chooses nothing: of trainings that were scored on it alone it is the one with the lowest seed.
    """

    def rank(trial: Trial) -> tuple[bool, int, float, int]:
        chosen_by = trial.loss_nats if trial.split is Split.VALIDATION and trial.loss_nats is not None else 0.0
        return trial.split is Split.TEST, -trial.rung, chosen_by, trial.seed

    done = [trial for trial in trials if trial.status is TrialStatus.DONE and not trial.repeat]
    return min(done, key=rank, default=None)


def _find(memory: Memory, what: str) -> Candidate:
    path = Path(what)
    if path.suffix == ".py" or path.is_file():
        return read_candidate(path, Scope.MIXER)
    with suppress(ConfigError):
        return baseline(what)
    return memory.candidate(what)


def _execution(memory: Memory, known: Trial | None, flags: Mapping[str, Any]) -> Execution:
    """How a training is done again: on the device and in the precision that it was done with, with `flags` over it."""
    spec = memory.task(known.task_id) if known else None
    before = TrainingConfig(device=spec.device, precision=spec.precision) if spec else TrainingConfig()
    return training_settings(before, flags).execution()


def _rejection(memory: Memory, lab: AnyLaboratory, candidate: Candidate) -> GateReport | None:
    memory.put_task(lab.task.spec)
    memory.put_candidate(candidate)
    return next((report for report in gates_of(memory, lab, candidate) if report.rejects), None)


def _train(
    memory: Memory,
    lab: AnyLaboratory,
    candidate: Candidate,
    known: Trial | None,
    wanted: Wanted,
    on_progress: Progress,
) -> tuple[Trial, bytes]:
    """Do the best known training again, or one at rung 0, for its weights.

    Raises: ConfigError where the task has no such rung; ExportError where it does not come to its end.
    """
    rung = wanted.rung if wanted.rung is not None else known.rung if known else 0
    seed = wanted.seed if wanted.seed is not None else known.seed if known else 0
    check_rung(lab.task, rung)
    on_progress(-1, STEPS, f"training {candidate.title}, rung {rung}, seed {seed}")
    weights = list[bytes]()

    def keep(data: bytes) -> str:
        weights.append(data)
        return memory.artifacts.put_weights(data)

    trial = lab.trial(candidate, rung=rung, seed=seed, store_weights=keep)
    memory.put_trial(None, trial)
    if not weights:
        raise ExportError(f"{candidate.title} could not be trained, so there is nothing to export: {trial.reason}")
    return trial, weights[-1]


def _fits(memory: Memory, trial: Trial, wanted: Wanted) -> bool:
    if wanted.rung not in (None, trial.rung) or wanted.seed not in (None, trial.seed):
        return False
    return wanted.task is None or wanted.task in (trial.task_id, memory.task(trial.task_id).name)


def _is_kept(memory: Memory, digest: str) -> bool:
    return memory.artifacts.weights_path(digest).is_file()


def _task(memory: Memory, known: Trial | None, wanted: Wanted, execution: Execution) -> AnyTask:
    """The task to train on: of the best known training with the data of its campaign, else the one that is named.

    Raises: ConfigError where it cannot be had as it was, or is several.
    """
    task: AnyTask
    if known is not None:
        configs = [
            CampaignConfig.model_validate(row.config) for row in memory.campaigns() if row.task.id == known.task_id
        ]
        task = (
            task_of(configs[-1], execution, wanted.data)
            if configs
            else load_task(memory.task(known.task_id).name, data=wanted.data, execution=execution)
        )
        # Another memory's task differs in its held-out rows alone, which nothing is trained on.
        if task.spec.id != known.task_id.partition("@")[0]:
            raise ConfigError(
                f"no weights of this design were kept, and its task {known.task_id} cannot be made again (it makes "
                f"{task.spec.id} now): give its data with --data, or another task with --task"
            )
    else:
        task = load_task(wanted.task or DEFAULT_TASK, data=wanted.data, execution=execution)
    if isinstance(task, Suite):
        names = ", ".join(each.spec.name for each in task.tasks)
        raise ConfigError(f"task {task.spec.name!r} is several tasks ({names}): name one of them with --task")
    return task


def _package(memory: Memory, candidate: Candidate, spec: TaskSpec, trial: Trial, weights: bytes) -> Package:
    candidate = candidate.model_copy(update={"scope": spec.scope})
    trials = memory.trials(spec.id, candidate.id, everything=True)
    return Package(
        candidate=candidate,
        spec=spec,
        weights=weights,
        seed=trial.seed,
        recipe=scaled(recipe_of(candidate.source, spec.recipe), trial.rate),
        trial=trial,
        trials=trials or (trial,),
        parents=memory.parents(candidate.id),
    )


def _written(
    package: Package,
    kind: Format,
    folder: Path,
    sandbox: Sandbox,
    config: SandboxConfig,
    on_progress: Progress,
) -> Tried:
    """Write the folder beside where it shall stand, try it out there, and put it in its place."""
    on_progress(1, STEPS, "answers of the evaluator's own process")
    files = hf_files(package) if kind == "hf" else torch_files(package)
    rows = random_rows(package.spec, ROWS, package.candidate.id)
    try:
        answers = answers_of(
            package.candidate, package.spec, package.weights, rows, sandbox.run, seed=package.seed, limits=config.limits
        )
    except TrialEnded as ended:
        raise ExportError(f"the design does not answer with these weights: {ended.reason}") from None
    walls = sandbox.tier is not Tier.T0
    any_length = True
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        staged = Path(beside, "files")
        _write(staged, files)
        if kind == "onnx":
            on_progress(2, STEPS, "translating to ONNX")
            model, told = to_onnx(staged, package, rows, walls=walls)
            any_length = told.free == "rows and length"
            staged = Path(beside, "onnx")
            _write(staged, {"model.onnx": model, "config.json": files["config.json"]})
        on_progress(2, STEPS, "trying it out where there is no netwright")
        work: Work = kind
        sheets = sheets_of(package.spec, rows, answers, any_length=any_length)
        tried = try_out(staged, work, package, sheets, walls=walls)
        if kind == "onnx":
            tried = replace(tried, told=told)
        (staged / "README.md").write_text(card(package, kind, tried), encoding="utf-8")
        os.replace(staged, folder)
    on_progress(3, STEPS, str(folder))
    return tried


def _write(folder: Path, files: Files) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _check_place(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already: name a new folder with --out, or empty it")


def _check_onnx() -> None:
    missing = [name for name in ONNX_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"format onnx needs {', '.join(missing)}: pip install 'netwright[onnx]'")
