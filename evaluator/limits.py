"""What a candidate may use at each stage: all limits in one place."""

from __future__ import annotations

from dataclasses import dataclass

from netwright.sandbox.job import Limits


@dataclass(frozen=True, kw_only=True)
class LaboratoryLimits:
    """Limits of the three kinds of job.

    Training may take `train_base_seconds` plus a second per `train_tokens_per_second` tokens. Softmax attention
    trains at about 45,000 tokens/s on one idle core; a machine four times slower with twice as many busy processes
    as cores leaves an eighth of that, 5,600/s. At 6,000/s with 15 s beside it every rung of 256,000 tokens or more
    still fits there: 58 s of 46 s needed, and 143 s of 137 s for three times the tokens. The limit also bounds
    what a process that lies about its steps could gain, hence no more than that.
    """

    check: Limits = Limits(wall_seconds=20.0, threads=8)
    score: Limits = Limits(wall_seconds=60.0, threads=8)
    train_base_seconds: float = 15.0
    train_tokens_per_second: float = 6_000.0
    train_memory_bytes: int = 3 << 30
    train_threads: int = 8

    def train(self, tokens: int) -> Limits:
        return Limits(
            wall_seconds=self.train_base_seconds + tokens / self.train_tokens_per_second,
            memory_bytes=self.train_memory_bytes,
            threads=self.train_threads,
        )


LIMITS = LaboratoryLimits()
