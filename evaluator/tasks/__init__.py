"""The tasks by name: `load_task` for the trusted side, `training_batches` for the untrusted one."""

from __future__ import annotations

from netwright.evaluator.tasks.base import UNSCORED, Batch, Task
from netwright.evaluator.tasks.feed import training_batches
from netwright.evaluator.tasks.generated import GeneratedTask, generated
from netwright.evaluator.tasks.registry import TASKS, load_task

__all__ = ["TASKS", "UNSCORED", "Batch", "GeneratedTask", "Task", "generated", "load_task", "training_batches"]
