"""Tasks by name: those that ship with netwright, those of installed packages, and those in a file of the user's own.

A task of one's own is a Python file with `TASK`, or an entry point of the group `netwright.tasks` that names such an
object: a task as `generated` makes it, or anything with the four members of `Task`. Its code runs on the trusted side.
"""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from netwright.errors import ConfigError
from netwright.evaluator.devices import ON_CPU, Execution
from netwright.evaluator.tasks import (
    automata,
    bytes_lm,
    compression,
    fuzzy_recall,
    memorisation,
    noisy_recall,
    recall,
    selective_copying,
    state_tracking,
    suite,
    tables,
    tokens_lm,
)
from netwright.evaluator.tasks.base import Task
from netwright.evaluator.tasks.suite import Member, Suite
from netwright.extensions import imported, installed, loaded
from netwright.types import BudgetProtocol, JsonDict, Rung, TaskSpec

ENTRY_POINTS = "netwright.tasks"
PROTOCOLS: tuple[str, ...] = get_args(BudgetProtocol)
_FAMILIES = (
    recall,
    noisy_recall,
    fuzzy_recall,
    selective_copying,
    compression,
    memorisation,
    automata,
    state_tracking,
    tables,
)
_FROM_DATA: Mapping[str, Callable[[Path | None], Task]] = {
    "bytes": bytes_lm.BytesTask.load,
    "tokens": tokens_lm.TokensTask.load,
}
_WITHOUT_DATA: Mapping[str, Callable[[], Task]] = {
    name: make for family in _FAMILIES for name, make in family.TASKS.items()
}
TASKS: dict[str, str] = {
    "bytes": bytes_lm.SUMMARY,
    "tokens": tokens_lm.SUMMARY,
    **{name: summary for family in _FAMILIES for name, summary in family.SUMMARIES.items()},
    **{name: summary for name, (summary, _) in suite.SUITES.items()},
}
"""The one-line summary of each task that ships with netwright, by its name."""


def load_task(
    name: str,
    *,
    data: Path | None = None,
    rung_tokens: Sequence[int] | None = None,
    protocol: str = "tokens",
    execution: Execution = ON_CPU,
) -> Task | Suite:
    """Return the task or suite of that name, of an installed package, or of the file `name` (`*.py`).

    `data` is a text file or a folder of them, for tasks on real text. `rung_tokens` replaces the task's own training
    budgets, lowest rung first, of a suite in equal shares, and `protocol` says what budgets are equal in. `execution`
    says on what device networks are trained, and in what precision. Results compare only where all of that is equal,
    so the task's id changes with it.

    Raises:
        ConfigError: no task has that name, its file makes none, the task takes no data, the budgets make no ladder, or
            there is no such protocol.
        DataError: the data cannot be used.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"there is no protocol {protocol!r}: budgets are equal in {', '.join(PROTOCOLS)}")
    task = _load(name, data)
    if not isinstance(task, Suite):
        return _adapted(task, name, rung_tokens, protocol, execution)
    shares = None if rung_tokens is None else [tokens // len(task.tasks) for tokens in rung_tokens]
    return task.of([_adapted(each, each.spec.name, shares, protocol, execution) for each in task.tasks])


def load_suite(name: str, summary: str, members: Sequence[Member], data: Path | None = None) -> Suite:
    """Return the suite of tasks of those names, on the rungs that all of them have or that a member names.

    Raises:
        ConfigError: a name is unknown or a suite's, or the tasks cannot stand together; see `suite_of`.
        DataError: the data cannot be used.
    """
    tasks = []
    for member in members:
        task = _load(member.name, data if member.name in _FROM_DATA else None)
        if isinstance(task, Suite):
            raise ConfigError(f"suite {name!r} cannot hold {member.name!r}, which is a suite: name its tasks")
        tasks.append(_adapted(task, member.name, member.rung_tokens) if member.rung_tokens else task)
    if data is not None and not any(member.name in _FROM_DATA for member in members):
        raise ConfigError(f"no task of suite {name!r} takes data, got {data}: leave the data path out")
    return suite.suite_of(name, summary, tasks, [member.scale_nats for member in members])


def _adapted(
    task: Task,
    name: str,
    rung_tokens: Sequence[int] | None,
    protocol: str = "tokens",
    execution: Execution = ON_CPU,
) -> Task:
    """Return the task with other budgets, or trained in another way."""
    changes: JsonDict = {} if rung_tokens is None else {"rungs": _rungs(task.spec, rung_tokens)}
    wanted = {"protocol": protocol, "device": execution.device, "precision": execution.precision}
    changes |= {key: value for key, value in wanted.items() if value != getattr(task.spec, key)}
    if not changes:
        return task
    if not is_dataclass(task):
        raise ConfigError(
            f"the {' and '.join(changes)} of task {name!r} are its own: leave rung_tokens, protocol, device and "
            "precision as they are, or make it a dataclass"
        )
    changed: Task = replace(task, spec=task.spec.model_copy(update=changes))
    return changed


def explanation(name: str) -> str:
    """Return what a task's file says of it, with an example and its source; "" for one of an installed package."""
    if name.endswith(".py"):
        with tokenize.open(name) as file:
            return ast.get_docstring(ast.parse(file.read())) or ""
    modules = {"bytes": bytes_lm, "tokens": tokens_lm} | {each: family for family in _FAMILIES for each in family.TASKS}
    modules |= dict.fromkeys(suite.SUITES, suite)
    return (modules[name].__doc__ or "").strip() if name in modules else ""


def installed_tasks() -> dict[str, EntryPoint]:
    """Return the tasks that installed packages offer, by name."""
    return installed(ENTRY_POINTS)


def _load(name: str, data: Path | None) -> Task | Suite:
    if name in suite.SUITES:
        return load_suite(name, *suite.SUITES[name], data)
    if name in _FROM_DATA:
        return _FROM_DATA[name](data)
    if data is not None:
        raise ConfigError(f"task {name!r} takes no data, got {data}: leave the data path out")
    if name in _WITHOUT_DATA:
        return _WITHOUT_DATA[name]()
    if name.endswith(".py"):
        return _from_file(Path(name))
    if point := installed_tasks().get(name):
        return _checked(f"task {name!r} of {point.value}", point.load)
    raise ConfigError(
        f"there is no task {name!r}: the tasks are {', '.join(sorted({*TASKS, *installed_tasks()}))}, or the path of "
        "a file of your own (*.py)"
    )


def _from_file(path: Path) -> Task | Suite:
    return _checked(f"task file {path}", lambda: _task_in(imported("task", path)))


def _task_in(module: ModuleType) -> Any:
    if not hasattr(module, "TASK"):
        raise ConfigError(f"task file {module.__file__} defines no TASK: add TASK = generated(...), see docs/tasks.md")
    return module.TASK


def _checked(whence: str, load: Callable[[], Any]) -> Task | Suite:
    """Return the task that `load` makes; whatever the user's code raises is told with where it comes from."""
    task = loaded(whence, load)
    if isinstance(task, Suite):
        return task
    if not isinstance(getattr(task, "spec", None), TaskSpec):
        raise ConfigError(f"{whence} is a {type(task).__name__}, expected a task as `generated` makes it")
    for member in ("details", "training_data", "held_out"):
        if not hasattr(task, member):
            raise ConfigError(f"{whence} is a task without `{member}`: see netwright.evaluator.tasks.Task")
    checked: Task = task
    return checked


def _rungs(spec: TaskSpec, tokens: Sequence[int]) -> tuple[Rung, ...]:
    step = spec.recipe.batch_size * spec.max_len
    if not tokens or list(tokens) != sorted(set(tokens)) or tokens[0] < step:
        raise ConfigError(
            f"rung_tokens must rise and begin with at least one training step ({step:,} tokens of task "
            f"{spec.name!r}), got {list(tokens)}"
        )
    return tuple(Rung(level=level, tokens=budget) for level, budget in enumerate(tokens))
