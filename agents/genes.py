"""The genes of a mixer: small typed choices that leaves of the grammar are made of.

A combination of settings that has no meaning of its own cannot be written down: the genes refuse it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from netwright.types import Frozen

Projection = Literal["full", "low rank", "grouped", "single"]
Normalisation = Literal["none", "l2", "rms"]
Feature = Literal["identity", "elu+1", "relu", "squared relu", "softmax", "silu", "taylor"]
OutputNorm = Literal["none", "rms", "layer", "joint"]
Skip = Literal["none", "scaled", "gated"]
Merge = Literal["sum", "gated", "heads"]

POSITIVE_FEATURES: tuple[Feature, ...] = ("elu+1", "relu", "squared relu", "softmax", "taylor")
DELTA_FEATURES: tuple[Feature, ...] = ("identity", "silu", "relu")
Horizon = Annotated[int, Field(ge=2, le=65536)]
Kernel = Annotated[int, Field(ge=2, le=8)]


class Shift(Frozen):
    """Token shift: each channel blends the token with the one before it.

    `separate` gives each projection a blend of its own, gates and decays included; else q, k and v share one.
    """

    kind: Literal["shift"] = "shift"
    separate: bool = False


class ShortConvolution(Frozen):
    """Depthwise causal convolution over `kernel` tokens, of the input or of the projected q, k, v."""

    kind: Literal["convolution"] = "convolution"
    place: Literal["input", "projected"] = "projected"
    kernel: Kernel = 4


class Gate(Frozen):
    """Multiplies the output, channel by channel, by a function of the input.

    `inner sigmoid` stands in the middle of a low-rank map, which then has no activation after it.
    """

    activation: Literal["sigmoid", "silu", "inner sigmoid"] = "silu"
    rank: Literal["full", "low"] = "full"

    @model_validator(mode="before")
    @classmethod
    def _has_a_middle(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("activation") == "inner sigmoid":
            if data.get("rank") == "full":
                raise ValueError("only a gate of low rank has a middle for an inner sigmoid")
            return {**data, "rank": "low"}
        return data


class FixedDecay(Frozen):
    """Forgetting at a fixed rate per head: 1 - 1 / span of the past is kept, spans from `horizon` to `shortest`."""

    kind: Literal["fixed"] = "fixed"
    horizon: Horizon = 64
    shortest: Literal[2, 8] = 2

    @model_validator(mode="after")
    def _ordered(self) -> FixedDecay:
        if self.shortest > self.horizon:
            raise ValueError(f"the shortest span, {self.shortest}, is longer than the horizon, {self.horizon}")
        return self


class DataDecay(Frozen):
    """Forgetting at a rate read from the token, per head or per key channel.

    `curve` makes log a of a projection z. Per head: -softplus(z), or `rated`, -r softplus(z) with r > 0 learned
    (Mamba-2). Per channel: `sigmoid`, -exp(-1/2) sigmoid(z) (RWKV-7), or -softplus(z) / 16 (gated linear attention).
    The projection per channel is of low rank, with a tanh in its middle if `squeeze` is so.
    `horizon` is the longest half-life at the start of training. `coupled` writes as much as was forgotten (for a
    rated decay: as softplus(z) says).
    """

    kind: Literal["data"] = "data"
    per: Literal["head", "channel"] = "head"
    horizon: Horizon = 64
    coupled: bool = False
    curve: Literal["softplus", "rated", "sigmoid"] = "softplus"
    squeeze: Literal["linear", "tanh"] = "linear"

    @model_validator(mode="before")
    @classmethod
    def _own_curve(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("per") == "channel" and data.get("curve") is None:
            return {**data, "curve": "sigmoid"}
        return data

    @model_validator(mode="after")
    def _legal(self) -> DataDecay:
        if self.curve == ("sigmoid" if self.per == "head" else "rated"):
            raise ValueError(f"a decay per {self.per} has no curve {self.curve!r}")
        if self.per == "head" and self.squeeze != "linear":
            raise ValueError("a decay per head is projected directly: nothing is squeezed")
        return self


class Hebbian(Frozen):
    """Adds the outer product of value and key; reads are averaged if `normaliser`.

    `taylor` is the feature map of the exponential's second-order expansion, 1 + s + s^2 / 2 for a score s.
    """

    kind: Literal["hebbian"] = "hebbian"
    feature: Feature = "identity"
    normaliser: bool = False


class Delta(Frozen):
    """Writes only the difference to what the key already recalls, with a write strength up to `strength`."""

    kind: Literal["delta"] = "delta"
    feature: Feature = "identity"
    strength: Literal[1, 2] = 1


class Removal(Frozen):
    """Removes under one key and writes under another, at a rate per channel (the generalised delta rule)."""

    kind: Literal["removal"] = "removal"


class ShortFilter(Frozen):
    """A learned filter over the last `kernel` tokens."""

    kind: Literal["short"] = "short"
    kernel: Kernel = 4


class LongFilter(Frozen):
    """A filter over the whole past: a learned sum of `modes` decaying exponentials."""

    kind: Literal["long"] = "long"
    modes: Annotated[int, Field(ge=2, le=16)] = 8


class OscillatingFilter(Frozen):
    """A diagonal state space: a sum of `pairs` decaying oscillations with learned rates and frequencies."""

    kind: Literal["oscillating"] = "oscillating"
    pairs: Annotated[int, Field(ge=2, le=32)] = 8


class ImplicitFilter(Frozen):
    """A filter as long as the row whose taps a small network with sines computes from their position."""

    kind: Literal["implicit"] = "implicit"
    bands: Annotated[int, Field(ge=2, le=16)] = 8


Local = Annotated[Shift | ShortConvolution, Field(discriminator="kind")] | None
Decay = Annotated[FixedDecay | DataDecay, Field(discriminator="kind")] | None
Rule = Annotated[Hebbian | Delta | Removal, Field(discriminator="kind")]
Filter = Annotated[ShortFilter | LongFilter | OscillatingFilter | ImplicitFilter, Field(discriminator="kind")]
