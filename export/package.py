"""What is exported: a design, the weights that it was trained to, and what is known of both. Pure.

Nothing here runs a candidate: its source, its title and its weight file are text and bytes that are copied.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from netwright.errors import ConfigError
from netwright.types import Candidate, JsonDict, Recipe, Scope, TaskSpec, Trial

MLP_WEIGHT = "layers.0.mlp.up.weight"
TEXT_TASKS = ("bytes", "tokens")
"""Tasks whose targets are the inputs one step later, as language models are trained."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the exported network is built from; None where a field has no meaning for the task.

    `hidden` is the width of the backbone's MLPs (0 where the candidate brings its own) and `seed` that of the
    training, for tables that a design draws in `__init__` and no weight file holds.
    """

    vocab_size: int | None
    max_len: int | None
    dim: int
    layers: int
    heads: int
    num_classes: int | None
    input_shape: tuple[int, ...] | None
    answers: str
    hidden: int
    dropout: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Package:
    """A trained design. `trial` is the training that `weights` come from, None for weights that were never trained.

    `trials` are all trainings of the design on the task, for the numbers on its card; `parents` the ids of what it was
    made from; `recipe` how it was trained.
    """

    candidate: Candidate
    spec: TaskSpec
    weights: bytes
    seed: int
    recipe: Recipe
    trial: Trial | None
    trials: Sequence[Trial] = ()
    parents: Sequence[str] = ()

    @property
    def is_text(self) -> bool:
        """Whether the network continues a row: each position answers with the next token."""
        return self.spec.name in TEXT_TASKS

    @property
    def weights_sha256(self) -> str:
        return hashlib.sha256(self.weights).hexdigest()

    def sizes(self) -> Sizes:
        """Return what the network is built from."""
        spec, tokens = self.spec, self.spec.inputs == "tokens"
        return Sizes(
            vocab_size=spec.vocab_size if tokens else None,
            max_len=spec.max_len if tokens else None,
            dim=spec.dim,
            layers=spec.layers,
            heads=spec.heads,
            num_classes=None if spec.answers == "tokens" else spec.answer_shape[1],
            input_shape=None if tokens else spec.input_shape,
            answers=spec.answers,
            hidden=_hidden(self.weights) if spec.scope is Scope.MIXER else 0,
            dropout=self.recipe.dropout,
            seed=self.seed,
        )

    def sizes_json(self) -> JsonDict:
        """Return them as they stand in a configuration file."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self.sizes()).items()
        }


def _hidden(weights: bytes) -> int:
    """Read the width of the backbone's MLPs off the header of a weight file that was checked before."""
    (length,) = struct.unpack("<Q", weights[:8])
    header = json.loads(weights[8 : 8 + length])
    if MLP_WEIGHT not in header:
        raise ConfigError(f"the weight file has no {MLP_WEIGHT}: it is not that of a mixer; train the design again")
    return int(header[MLP_WEIGHT]["shape"][0])
