"""The experiment memory: one SQLite file, its schema, its views and its search."""

from netwright.memory.records import (
    ActionRecord,
    Attempt,
    Campaign,
    Experiment,
    ExperimentRecord,
    Knowledge,
    Lesson,
    LlmTotals,
)
from netwright.memory.store import Memory

__all__ = [
    "ActionRecord",
    "Attempt",
    "Campaign",
    "Experiment",
    "ExperimentRecord",
    "Knowledge",
    "Lesson",
    "LlmTotals",
    "Memory",
]
