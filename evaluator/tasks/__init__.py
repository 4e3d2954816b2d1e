"""The tasks by name: `load_task` for the trusted side, `training_batches` for the untrusted one."""

from __future__ import annotations

from netwright.evaluator.tasks.base import UNSCORED, Batch, Task
from netwright.evaluator.tasks.feed import training_batches
from netwright.evaluator.tasks.generated import GeneratedTask, generated
from netwright.evaluator.tasks.registry import TASKS, load_suite, load_task
from netwright.evaluator.tasks.suite import Member, Suite

AnyTask = Task | Suite

__all__ = [
    "AnyTask",
    "TASKS",
    "UNSCORED",
    "Batch",
    "GeneratedTask",
    "Member",
    "Suite",
    "Task",
    "generated",
    "load_suite",
    "load_task",
    "training_batches",
]
