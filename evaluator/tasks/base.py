"""What a task is: training data for the untrusted side, keyed held-out data for the trusted side.

A candidate may see everything that `training_data` and `TaskSpec` hold. Held-out rows are chosen (or
generated) from the memory's secret key, which never leaves the trusted side: no candidate can make them again.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netwright.types import Split, TaskSpec

UNSCORED = -100
"""The target of a position that is not scored (torch's `ignore_index`)."""


@dataclass(frozen=True)
class Batch:
    """Rows and what should be answered to them, both int32 where they are tokens or classes, else float32.

    `inputs` are (B, T), or (B, *input_shape) where rows are numbers; `targets` are (B, P) for the P positions that are
    answered, `UNSCORED` where nothing is scored. `floor_nats` (B, P), where the source of the data is known, is the
    entropy of each target for who knows the source: a lower bound on the expected loss of any model.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    floor_nats: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def rows(self, chosen: NDArray[Any] | slice) -> Batch:
        """Return some of the rows."""
        floor = None if self.floor_nats is None else self.floor_nats[chosen]
        return Batch(self.inputs[chosen], self.targets[chosen], floor)


class Task(Protocol):
    """A task as the trusted side sees it."""

    @property
    def spec(self) -> TaskSpec: ...

    @property
    def details(self) -> str:
        """Say in plain text where the data comes from and what a trial costs."""
        ...

    def training_data(self) -> bytes:
        """Return what the untrusted side may see, as `feed.training_batches` reads it."""
        ...

    def held_out(self, split: Split, key: bytes) -> Batch:
        """Return the rows of a split: always the same for one key, others for another key or split."""
        ...


def keyed_generator(key: bytes, *labels: str) -> np.random.Generator:
    """Return a random stream that only the holder of `key` can make; other labels give another stream.

    Raises:
        ValueError: the key is shorter than 16 bytes, so it could be guessed.
    """
    if len(key) < 16:
        raise ValueError(f"expected a secret key of at least 16 bytes, got {len(key)}")
    digest = hmac.digest(key, "/".join(labels).encode(), "sha256")
    return np.random.default_rng(int.from_bytes(digest, "big"))


def describe_costs(spec: TaskSpec, tokens_per_second: int) -> str:
    """Return one line per rung: its tokens, and the time that softmax attention takes on one CPU core."""
    unit = "tokens" if spec.inputs == "tokens" else "rows"
    return "\n".join(
        f"rung {rung.level}: {rung.tokens:,} training {unit}, about {rung.tokens / tokens_per_second:.0f} s"
        for rung in spec.rungs
    )
