"""What a candidate may use at each stage: all limits in one place."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.sandbox.job import Limits


@dataclass(frozen=True, kw_only=True)
class LaboratoryLimits:
    """Limits of the three kinds of job.

    Training may take `train_base_seconds` plus a second per
    `train_tokens_per_second` tokens, about ten times what softmax attention needs.
    """

    check: Limits = Limits(wall_seconds=20.0, threads=8)
    score: Limits = Limits(wall_seconds=60.0, threads=8)
    train_base_seconds: float = 60.0
    train_tokens_per_second: float = 10_000.0
    train_memory_bytes: int = 3 << 30
    train_threads: int = 8

    def train(self, tokens: int) -> Limits:
        return Limits(
            wall_seconds=self.train_base_seconds + tokens / self.train_tokens_per_second,
            memory_bytes=self.train_memory_bytes,
            threads=self.train_threads,
        )


LIMITS = LaboratoryLimits()
