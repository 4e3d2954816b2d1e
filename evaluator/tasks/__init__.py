"""The tasks by name: `load_task` for the trusted side, `training_batches` for the untrusted one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from netwright.errors import ConfigError
from netwright.evaluator.tasks import bytes_lm, recall
from netwright.evaluator.tasks.base import UNSCORED, Batch, Task
from netwright.types import Rung, TaskSpec

__all__ = ["TASKS", "UNSCORED", "Batch", "Task", "load_task", "training_batches"]

TASKS: Mapping[str, str] = {"recall": recall.SUMMARY, "bytes": bytes_lm.SUMMARY}
"""Each task's name and one-line summary."""


def load_task(name: str, *, data: Path | None = None, rung_tokens: Sequence[int] | None = None) -> Task:
    """Return the task of that name; `data` is a text file or a folder of them, for tasks on real text.

    `rung_tokens` replaces the task's own training budgets, lowest rung first; results compare only between equal
    budgets, so the task's id changes with them.

    Raises:
        ConfigError: no task has that name, the task takes no data, or the budgets make no ladder.
        DataError: the data cannot be used.
    """
    task = _load(name, data)
    return task if rung_tokens is None else replace(task, spec=_with_rungs(task.spec, rung_tokens))


def _load(name: str, data: Path | None) -> bytes_lm.BytesTask | recall.RecallTask:
    if name == "bytes":
        return bytes_lm.BytesTask.load(data)
    if name not in TASKS:
        raise ConfigError(f"there is no task {name!r}: the tasks are {', '.join(sorted(TASKS))}")
    if data is not None:
        raise ConfigError(f"task {name!r} generates its data and takes none, got {data}: leave the data path out")
    return recall.RecallTask.load()


def _with_rungs(spec: TaskSpec, tokens: Sequence[int]) -> TaskSpec:
    step = spec.recipe.batch_size * spec.max_len
    if not tokens or list(tokens) != sorted(set(tokens)) or tokens[0] < step:
        raise ConfigError(
            f"rung_tokens must rise and begin with at least one training step ({step:,} tokens of task "
            f"{spec.name!r}), got {list(tokens)}"
        )
    rungs = tuple(Rung(level=level, tokens=budget) for level, budget in enumerate(tokens))
    return spec.model_copy(update={"rungs": rungs})


def training_batches(spec: TaskSpec, data: memoryview | bytes, *, seed: int, batch_size: int) -> Iterator[Batch]:
    """Return endless training batches of shape (batch_size, spec.max_len): the same for the same seed.

    `data` is what the task's `training_data` returned. Numpy only; costs well below 3% of a training step.

    Raises:
        ConfigError: no task has the spec's name.
    """
    if spec.name == "bytes":
        return bytes_lm.training_batches(spec, data, seed=seed, batch_size=batch_size)
    if spec.name == "recall":
        return recall.training_batches(spec, seed=seed, batch_size=batch_size)
    raise ConfigError(f"there is no task {spec.name!r}: the tasks are {', '.join(sorted(TASKS))}")
