"""The campaign that reports are made of."""

from __future__ import annotations

from told_campaign import memory, start, task, teller_of, told

__all__ = ["memory", "start", "task", "teller_of", "told"]
