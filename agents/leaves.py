"""The leaves of the grammar: one kind of mixing each, with the genes that it has.

What may not be combined is refused by the leaves themselves; `settled` moves to the nearest legal combination.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from netwright.agents.genes import (
    DELTA_FEATURES,
    POSITIVE_FEATURES,
    DataDecay,
    Decay,
    Delta,
    Filter,
    Gate,
    Hebbian,
    Horizon,
    Local,
    Normalisation,
    OutputNorm,
    Projection,
    Removal,
    Rule,
    Shift,
    ShortFilter,
)
from netwright.types import Frozen, JsonDict


class Mixing(Frozen):
    """A leaf knows which of its genes go together."""

    @classmethod
    def settled(cls, genes: JsonDict, keep: Collection[str] = ()) -> JsonDict:
        """Move `genes` to the nearest legal combination; genes named in `keep` give way last."""
        return genes

    @model_validator(mode="after")
    def _legal(self) -> Mixing:
        genes = gene_values(self)
        broken = [name for name, value in self.settled(dict(genes)).items() if value != genes[name]]
        if broken:
            kind = type(self).__name__.lower()
            raise ValueError(f"this {kind} is not a sentence of the grammar: {', '.join(broken)} must change")
        return self


def gene_values(model: Frozen) -> dict[str, Any]:
    return {name: getattr(model, name) for name in type(model).model_fields}


class Attention(Mixing):
    """Softmax attention over all earlier tokens, or over the last `window`."""

    kind: Literal["attention"] = "attention"
    projection: Literal["full", "low rank", "grouped"] = "full"
    local: Local = None
    window: Annotated[int, Field(ge=2)] | None = None
    position: Literal["none", "rotary", "alibi"] = "rotary"
    qk_norm: Normalisation = "none"
    talking: bool = False
    norm: Literal["none", "rms"] = "none"
    gate: Gate | None = None

    @classmethod
    def settled(cls, genes: JsonDict, keep: Collection[str] = ()) -> JsonDict:
        _settle_shift(genes, keep)
        return genes


class Memory(Mixing):
    """A fast-weight memory: a matrix per head, written and read once per token.

    `direct` adds the token's own value to what was read: `scaled` per head, or `matched`, as strongly as its key
    matches its query. `norm` is over the channels of a head (`rms`, `layer`) or over all, after the gate (`joint`).
    """

    kind: Literal["memory"] = "memory"
    projection: Projection = "full"
    local: Local = None
    rule: Rule = Field(default_factory=Hebbian)
    decay: Decay = None
    key_width: Literal["full", "half"] = "full"
    position: Literal["none", "rotary"] = "none"
    qk_norm: Normalisation = "none"
    talking: bool = False
    values: Literal["identity", "silu"] = "identity"
    direct: Literal["none", "scaled", "matched"] = "none"
    norm: OutputNorm = "rms"
    gate: Gate | None = None

    @classmethod
    def settled(cls, genes: JsonDict, keep: Collection[str] = ()) -> JsonDict:
        match genes["rule"]:
            case Delta():
                _settle_delta(genes)
            case Removal():
                _settle_removal(genes)
            case _:
                _settle_hebbian(genes, keep)
        if genes["projection"] == "single":
            genes["talking"] = False
        _settle_shift(genes, keep)
        return genes


class Convolution(Mixing):
    """A causal filter per channel between multiplicative gates.

    `output` gates after the filter, `both` before it as well, `twice` after each of two filters. `glu` has neither
    gates nor projection before the filter: a GELU and a gated linear unit follow it.
    """

    kind: Literal["convolution"] = "convolution"
    filter: Filter = Field(default_factory=ShortFilter)
    gates: Literal["output", "both", "twice", "glu"] = "both"
    norm: Literal["none", "rms"] = "none"


class Recurrence(Mixing):
    """A running average per channel whose rate of forgetting is read from the token."""

    kind: Literal["recurrence"] = "recurrence"
    local: Local = None
    horizon: Horizon = 64
    rank: Literal["full", "low"] = "full"
    norm: Literal["none", "rms"] = "none"
    gate: Gate | None = None


class Cell(Mixing):
    """A recurrent cell whose gates read its own output of the step before; 9/16 of the channels wide."""

    kind: Literal["cell"] = "cell"
    cell: Literal["lstm", "gru", "tanh"] = "lstm"
    norm: Literal["none", "rms"] = "none"


class Matching(Mixing):
    """Each head looks at what followed earlier occurrences of the last n tokens, n from 1 to `longest` over heads.

    With `own` a projection of the token itself is added to what was found.
    """

    kind: Literal["matching"] = "matching"
    longest: Literal[1, 2, 3, 4] = 3
    local: Local = None
    own: bool = True


class Positions(Mixing):
    """One or two causal linear maps along the time axis, a weight for each pair of positions.

    With `gated` between a projection to values and gates and one back; else on the channels as they are.
    """

    kind: Literal["positions"] = "positions"
    depth: Literal[1, 2] = 2
    gated: bool = False


Leaf = Attention | Memory | Convolution | Recurrence | Cell | Matching | Positions


def _settle_shift(genes: JsonDict, keep: Collection[str]) -> None:
    # With a blend for each there is no common input that could be squeezed.
    local = genes["local"]
    if isinstance(local, Shift) and local.separate and genes["projection"] == "low rank":
        if "projection" in keep:
            genes["local"] = Shift()
        else:
            genes["projection"] = "full"


def _settle_delta(genes: JsonDict) -> None:
    # Keys of unit length bound the correction: an unnormalised delta rule grows without limit.
    if genes["rule"].feature not in DELTA_FEATURES:
        genes["rule"] = Delta(strength=genes["rule"].strength)
    genes.update(qk_norm="l2", talking=False)
    if genes["position"] == "rotary" and genes["rule"].feature != "identity":
        genes["position"] = "none"
    _uncouple(genes)


def _settle_removal(genes: JsonDict) -> None:
    genes.update(qk_norm="none", talking=False, position="none")
    if genes["projection"] == "single":
        genes["projection"] = "full"
    if genes["norm"] == "none":
        genes["norm"] = "rms"
    decay = genes["decay"]
    if isinstance(decay, DataDecay) and decay.per == "head":
        # The chunked form divides by what is left of the past, which a decay per head does not bound.
        genes["decay"] = DataDecay(per="channel", horizon=decay.horizon)
    _uncouple(genes)


def _uncouple(genes: JsonDict) -> None:
    if isinstance(genes["decay"], DataDecay) and genes["decay"].coupled:
        genes["decay"] = genes["decay"].model_copy(update={"coupled": False})


def _settle_hebbian(genes: JsonDict, keep: Collection[str]) -> None:
    rule = genes["rule"]
    if genes["position"] == "rotary" and (rule.feature != "identity" or rule.normaliser):
        if "position" in keep:
            genes["rule"] = rule = Hebbian()
        else:
            genes["position"] = "none"
    if rule.normaliser and rule.feature not in POSITIVE_FEATURES:
        genes["rule"] = rule = rule.model_copy(update={"normaliser": False})
    if not rule.normaliser and genes["norm"] == "none":
        genes["norm"] = "rms"
    # Head mixing and Taylor weights need the scores of all pairs, which a decay per channel does not have.
    decay = genes["decay"]
    if isinstance(decay, DataDecay) and decay.per == "channel":
        if rule.feature == "taylor" or (genes["talking"] and "talking" in keep):
            genes["decay"] = DataDecay(per="head", horizon=decay.horizon, coupled=decay.coupled)
        else:
            genes["talking"] = False
